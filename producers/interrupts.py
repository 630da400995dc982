"""Ctrl-C where it does no harm: between two records instead of in the middle of one."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType, TracebackType


class Shield:
    """`with shield:` holds a first SIGINT back until the block ends or calls `check`; a second one interrupts at once.

    An interruption within a client's bookkeeping would leave a record of which nobody knows whether it went out. Works
    while `raised` is entered, and changes nothing outside the main thread or where SIGINT is ignored or taken already.
    """

    def __init__(self) -> None:
        self._up = self._came = False

    @contextmanager
    def raised(self) -> Iterator[None]:
        """Take SIGINT over; give it back at the end."""
        free = signal.getsignal(signal.SIGINT) is signal.default_int_handler
        if not free or threading.current_thread() is not threading.main_thread():
            yield
            return
        signal.signal(signal.SIGINT, self._interrupt)
        try:
            yield
        finally:
            signal.signal(signal.SIGINT, signal.default_int_handler)

    def check(self) -> None:
        """Raise `KeyboardInterrupt` if one is held back."""
        if self._came:
            self._came = False
            raise KeyboardInterrupt

    def __enter__(self) -> None:
        self._up = True

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._up = False
        if error is None:
            self.check()

    def _interrupt(self, number: int, frame: FrameType | None) -> None:
        if not self._up or self._came:
            raise KeyboardInterrupt
        self._came = True

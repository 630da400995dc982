"""Sends a simulated shop's touchpoints and facts: its history at once, then its life as it happens."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Iterator
from types import TracebackType
from typing import Any

from producers.client import Client
from schemas.errors import JourneysError
from schemas.fact import is_fact

FLUSH_SECONDS = 5.0
Happening = dict[str, Any]
"""A touchpoint or a fact, as it goes over the wire."""


class ShopFeed:
    """A context manager around a thread that sends until it is stopped. `client` is closed at the end.

    `sent` counts the touchpoints that were handed to the client and `stated` the facts; `delivered` is what the broker
    has confirmed of both. `failure` is one line once sending has ended for good.
    """

    def __init__(self, client: Client, live: Iterator[tuple[float, Happening]], began_seconds: float) -> None:
        """`live` has seconds counted from `began_seconds` of the monotonic clock."""
        self._client = client
        self._live = live
        self._began_seconds = began_seconds
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="shop-feed", daemon=True)
        self.sent = 0
        self.stated = 0
        self.delivered = 0
        self.undelivered = 0
        self.failure: str | None = None

    def send_history(self, history: Iterable[Happening], observe: Callable[[int], object] = lambda _: None) -> None:
        """Send what happened before, and return once the broker has it. Raises `Transient` or `Undecodable`."""
        for happening in history:
            self._send(happening)
            if (self.sent + self.stated) % 500 == 0:
                observe(self.sent)
        self._settle()
        observe(self.sent)

    def __enter__(self) -> ShopFeed:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def stop(self) -> None:
        """Stop sending and wait for the broker's answers. May be called again."""
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join(40.0)

    def _run(self) -> None:
        settled_seconds = time.monotonic()
        try:
            for due_seconds, happening in self._live:
                if self._stopping.wait(max(0.0, self._began_seconds + due_seconds - time.monotonic())):
                    break
                self._send(happening)
                if time.monotonic() - settled_seconds > FLUSH_SECONDS:
                    self._settle()
                    settled_seconds = time.monotonic()
        except JourneysError as error:
            self.failure = f"the shop cannot send: {error}"
        finally:
            self._settle(last=True)

    def _send(self, happening: Happening) -> None:
        self._client.emit(happening)
        if is_fact(happening):
            self.stated += 1
        else:
            self.sent += 1

    def _settle(self, *, last: bool = False) -> None:
        report = self._client.close() if last else self._client.flush()
        self.delivered += report.delivered
        self.undelivered += len(report.undelivered)

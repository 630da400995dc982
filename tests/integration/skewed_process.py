"""A worker on a machine whose clock is off by SKEW_MS: `python -m tests.integration.skewed_process`.

Only the wall clock is, as on a machine that was set wrong: what measures how long something takes goes on as before.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable

SKEW = "SKEW_MS"


def set_clock(skew_ms: int) -> None:
    """From now on this process lives at another time. Nothing may have taken hold of the clock before."""
    read_seconds, read_ns = time.time, time.time_ns
    skewed: dict[str, Callable[[], float]] = {
        "time": lambda: read_seconds() + skew_ms / 1_000,
        "time_ns": lambda: read_ns() + skew_ms * 1_000_000,
    }
    vars(time).update(skewed)


if __name__ == "__main__":
    set_clock(int(os.environ[SKEW]))
    from tests.integration.worker_process import main

    main()

"""Shops that the tests look at, and how they read a touchpoint's time."""

from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any

from producers.simulator import Shop
from schemas.moments import check_moment, to_epoch_ms

START = datetime(2026, 9, 1, tzinfo=UTC)
START_MS = to_epoch_ms(START)


def crowded_shop(seed: int, days: int = 20, **options: Any) -> Shop:
    """Few customers with many stories each, so that their stories get in each other's way."""
    settings: dict[str, Any] = {"customers": 30, "stories_per_day": 40.0, "end": START + timedelta(days=days)}
    return Shop(seed, START, **(settings | options))


def occurred_ms(touchpoint: dict[str, Any]) -> int:
    return _moment_ms(touchpoint["occurred_at"])


@lru_cache(maxsize=100_000)
def _moment_ms(text: str) -> int:
    return to_epoch_ms(check_moment(text))


def busy_shop(seed: int) -> Shop:
    """Enough stories for the rare ones to be among them."""
    return crowded_shop(seed, 45, customers=2_000, stories_per_day=150.0)

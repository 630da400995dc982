"""What the parts of the oracle read of a touchpoint, and how they write down what they found."""

from typing import Any

from schemas.moments import check_moment, to_epoch_ms
from tests.producers.simulator.lives import occurred_ms

HOUR_MS, DAY_MS = 3_600_000, 86_400_000
Seen = dict[str, Any]
Found = tuple[int, str, str, str, str]
"""When it became true, rule, customer, subject, anchor."""

at_ms = occurred_ms


def prop(touch: Seen, name: str) -> Any:
    return touch["properties"].get(name)


def moment(touch: Seen, name: str) -> int | None:
    value = prop(touch, name)
    return None if value is None else to_epoch_ms(check_moment(value))


def place(touch: Seen) -> str | None:
    found: str | None = touch.get("store_id") or prop(touch, "store_id")
    return found


def find(true_ms: int, rule: str, anchor: Seen, subject: str) -> Found:
    return true_ms, rule, anchor["identifiers"]["customer_id"], subject, f"{anchor['source']}/{anchor['event_id']}"

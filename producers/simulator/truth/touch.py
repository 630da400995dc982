"""A touchpoint as the ledger reads it."""

from __future__ import annotations

from typing import Any, NamedTuple

from producers.simulator.truth.friction import SubjectKind
from schemas.moments import check_moment, to_epoch_ms


class Touch(NamedTuple):
    """One touchpoint of a known customer. `at_ms` is its `occurred_at`."""

    at_ms: int
    customer: str
    source: str
    event_id: str
    type: str
    channel: str | None
    order_id: str | None
    case_id: str | None
    store_id: str | None
    agent_id: str | None
    properties: dict[str, Any]

    def text(self, name: str) -> str:
        """A property that is text; empty where it is absent."""
        return self.properties.get(name) or ""

    def moment(self, name: str) -> int | None:
        """A property that is a moment, as epoch milliseconds."""
        value = self.properties.get(name)
        return None if value is None else to_epoch_ms(check_moment(value))

    @property
    def reference(self) -> str:
        """`source/event_id`."""
        return f"{self.source}/{self.event_id}"

    @property
    def matter(self) -> tuple[SubjectKind, str]:
        """What it concerns when nothing narrower is known: its order, else itself."""
        return ("order", self.order_id) if self.order_id else ("touchpoint", self.reference)

    @property
    def place(self) -> str | None:
        """The store: the envelope's, else the properties'."""
        return self.store_id or self.properties.get("store_id")


def read_touch(at_ms: int, customer: str, touchpoint: dict[str, Any]) -> Touch:
    """The touch of a touchpoint as it goes over the wire."""
    return Touch(
        at_ms,
        customer,
        touchpoint["source"],
        touchpoint["event_id"],
        touchpoint["type"],
        touchpoint.get("channel"),
        touchpoint.get("order_id"),
        touchpoint.get("case_id"),
        touchpoint.get("store_id"),
        touchpoint.get("agent_id"),
        touchpoint["properties"],
    )

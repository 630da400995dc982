"""What the desk needs of its partition, and what it leaves there to be written. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Protocol

from streams.customer import Customer
from streams.forgotten import BlockList
from streams.identity.asking import History
from streams.identity.choice import Decision
from streams.policy import Policy
from streams.records import Arrival
from streams.retaken import Retaken
from streams.waiting import Waiting


class Decided(NamedTuple):
    """A decision to be written. `first_ms`: the first touchpoint under the identifier alone, 0 if none is known."""

    identifier: str
    decision: Decision
    first_ms: int
    version: int


class Shelf(Protocol):
    """What the desk needs of its partition."""

    policy: Policy
    block_list: BlockList
    merged: set[str]
    flushes: int
    time_ms: int
    waiting: Waiting
    retaken: Retaken
    hot: dict[str, Customer]

    @property
    def newcomers(self) -> list[str]:
        """Keys under which something waits, and of which nothing is known here."""

    def find(self, key: str) -> Customer | None:
        """The customer of a key, unpacked or new; None when the key belongs to another partition."""

    def known(self, key: str) -> Customer | None:
        """The customer of a key, if there is one already."""

    def erase(self, key: str) -> list[Customer]:
        """Let go of an erased customer, and take nothing more under this key. Returns those whose state may name it."""

    def mark(self, customer: Customer) -> None:
        """Have a customer looked at and written."""

    def put_again(self, customer: Customer, history: History, places: Sequence[int]) -> None:
        """Write the touchpoints at these places of a history once more, as in time."""

    def drop_if_empty(self, customer: Customer) -> None:
        """Let go of a customer of whom there is nothing to keep."""

    def retract(self, customer: Customer, arrival: Arrival, is_late: bool) -> None:
        """Delete the row of a touchpoint that is no longer this customer's."""

    @property
    def next_version(self) -> int:
        """Epoch and number of the next flush, as rows carry it."""

"""What is known of one identifier's identity, as it is kept with the customer of that key. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from streams.identity.choice import Evidence, Status

if TYPE_CHECKING:
    from streams.customer import Customer


class IdentityState(msgspec.Struct, array_like=True, gc=False):
    """Part of a customer's stored state.

    `is_known`: all that ClickHouse has on it was read. `owner`, `status`, `version`: the decision, and when it was
    last changed. `is_moving`: its history still has to go to the owner. `is_partial`: it must be stitched anew from
    ClickHouse. `is_settled`: it belongs to somebody by a circle of links, and what comes stays here. `active_ms`:
    partition time of its last use. `taught`: what was said of weaker identifiers, by window. `released`: up to which
    version links of weaker identifiers were undone. `formers`: owners who must still be told that they are none.
    `takes_late`: what came too late belongs to it when it is stitched anew. `first_ms`: the first touchpoint under it
    alone, as far as it was known when it was decided.
    """

    is_known: bool = False
    evidence: list[Evidence] = []
    owner: str = ""
    status: Status = ""
    version: int = 0
    is_moving: bool = False
    is_partial: bool = False
    is_settled: bool = False
    active_ms: int = 0
    taught: dict[str, tuple[int, str, str]] = {}
    released: dict[str, int] = {}
    formers: list[str] = []
    takes_late: bool = False
    first_ms: int = 0

    @property
    def destination(self) -> str:
        """To whom what comes goes on; empty: it stays."""
        return "" if self.is_settled else self.owner

    @property
    def has_errand(self) -> bool:
        """Whether something has to be read from ClickHouse before all is right."""
        return self.is_moving or self.is_partial or not self.is_known


def identity_of(customer: Customer) -> IdentityState:
    """The state of a customer; a new one knows all that there is to know."""
    if customer.identity is None:
        customer.identity = IdentityState(is_known=True)
    return customer.identity

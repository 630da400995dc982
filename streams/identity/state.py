"""What is known of one identifier's identity, as it is kept with the customer of that key. Pure."""

from __future__ import annotations

import msgspec

from streams.identity.choice import Evidence, Status


class IdentityState(msgspec.Struct, array_like=True, gc=False):
    """Part of a customer's stored state.

    `is_known`: all that ClickHouse has on it was read. `owner`, `status`, `version`: the decision, and when it was
    last changed. `is_moving`: its history still has to go to the owner. `is_partial`: it must be stitched anew from
    ClickHouse. `is_settled`: it belongs to somebody by a circle of links, and what comes stays here. `active_ms`:
    partition time of its last use. `taught`: what was said of weaker identifiers, by window. `released`: up to which
    version links of weaker identifiers were undone. `formers`: owners who must still be told that they are none.
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

    @property
    def destination(self) -> str:
        """To whom what comes goes on; empty: it stays."""
        return "" if self.is_settled else self.owner

    @property
    def has_errand(self) -> bool:
        """Whether something has to be read from ClickHouse before all is right."""
        return self.is_moving or self.is_partial or not self.is_known

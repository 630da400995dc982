"""Going on from what was decided of an identifier before, and forgotten here. Pure."""

from __future__ import annotations

from collections.abc import Callable

from streams.identity.asking import Known
from streams.identity.sending import tell_release
from streams.identity.state import IdentityState
from streams.outcome import Outcome
from streams.records import Release


def recall(key: str, state: IdentityState, known: Known, holds: Callable[[str], bool], outcome: Outcome) -> bool:
    """Take up the decision that is known. Returns whether what came meanwhile was taken here, and has to be moved.

    `holds`: whether a customer was erased.
    """
    # Who decided it may have died over the same flush, and have told none of those it was taken from.
    named = {state.owner, *(each.owner for each in state.evidence)} - {known.owner, key, ""}
    state.owner, state.status, state.version = known.owner, known.status, known.version
    state.formers += sorted(each for each in named if not holds(each))
    if known.owner:
        outcome.sendings += [tell_release(known.owner, Release(*each)) for each in state.released.items()]
    return bool(known.owner or state.formers)

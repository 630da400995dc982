"""Listening: what a chunk says of identity besides its touchpoints. Pure."""

from __future__ import annotations

from streams.identity.desk import IdentityDesk
from streams.identity.sending import tell_link, tell_rebuild, tell_release
from streams.outcome import Outcome
from streams.records import DecodedChunk


def listen(desk: IdentityDesk, chunk: DecodedChunk, outcome: Outcome) -> None:
    """Take what a chunk says of identities; what belongs elsewhere is sent there."""
    for key, release in chunk.releases:
        if not desk.release(key, release, outcome):
            outcome.sendings.append(tell_release(key, release))
    for key in chunk.rebuilds:
        if not desk.rebuild(key):
            outcome.sendings.append(tell_rebuild(key))
    for link in chunk.links:
        if not desk.hear(link, outcome):
            outcome.sendings.append(tell_link(link))
    # After the links: what an erasure unties comes before what it has forgotten.
    for identifier in chunk.forgotten:
        desk.forget(identifier, outcome)

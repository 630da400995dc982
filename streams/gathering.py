"""Gathering: what a changed customer adds to a flush. Pure but for the customer's own notes of what is written."""

from __future__ import annotations

import msgspec

from streams.customer import NEVER_MS, Customer
from streams.identity.desk import IdentityDesk
from streams.rows import (
    Origin,
    Rows,
    journey_row,
    link_row,
    owner_row,
    promise_row,
    retracted_alert_row,
    retracted_journey_row,
    retracted_promise_row,
)
from streams.states import NOTHING_PACKED, SEGMENT_TOUCHES, PromiseState, pack_head, pack_touches
from streams.stitching import find_firsts


class Cold(msgspec.Struct, gc=False):
    """A customer packed: the bytes of its segments as they are stored, and when it must be looked at again.

    `scheduled_ms` is the due time under which the partition's heap holds it.
    """

    due_ms: int
    scheduled_ms: int
    head: bytes
    sealed: tuple[bytes, ...] = ()


def gather_customer(customer: Customer, now_ms: int, origin: Origin, rows: Rows, former: Cold | None) -> Cold:
    """Append the rows of what changed since the last flush; returns the customer's packed form, which they include."""
    gather_results(customer, now_ms, origin, rows)
    cold = gather_state(customer, origin, rows, former)
    customer.is_dirty = False
    return cold


def gather_results(customer: Customer, now_ms: int, origin: Origin, rows: Rows) -> None:
    """Append what people see of a customer: promises and journeys that changed, and retractions."""
    state = customer.identity
    # What is about to move would be shown for a moment, and taken back.
    if state is None or not (state.is_moving and state.destination):
        _gather_promises(customer, now_ms, origin, rows)
        _gather_journeys(customer, origin, rows)
    rows.alerts.extend(
        retracted_alert_row(customer.name, episode_id, origin) for episode_id in customer.episodes.take_orphans()
    )


def _gather_promises(customer: Customer, now_ms: int, origin: Origin, rows: Rows) -> None:
    stitcher = customer.stitcher
    if not stitcher.book.promises and not customer.promises:
        return
    current: dict[str, PromiseState] = {}
    for promise in stitcher.book.promises:
        journey = stitcher.journey_of(promise)
        state = PromiseState.of(promise, customer.key, journey.journey_id(customer.key), now_ms)
        current[state.promise_id] = state
        if customer.promises.get(state.promise_id) != state:
            journey.is_dirty = True
            rows.promises.append(promise_row(customer.name, state, origin))
    gone = customer.promises.keys() - current.keys()
    rows.promises.extend(retracted_promise_row(customer.name, promise_id, origin) for promise_id in sorted(gone))
    customer.promises = current


def _gather_journeys(customer: Customer, origin: Origin, rows: Rows) -> None:
    journeys, written = customer.stitcher.journeys, customer.journey_ids
    for journey in journeys:
        if journey.is_dirty:
            written.add(journey.journey_id(customer.key))
            rows.journeys.append(journey_row(customer, journey, origin))
            journey.is_dirty = False
    if len(written) > len(journeys):
        # A journey that is not dirty is written, so what is too many is gone.
        current = {journey.journey_id(customer.key) for journey in journeys}
        gone = sorted(written - current)
        rows.redirects.extend(find_firsts(customer.key, customer.name, customer.log, gone))
        rows.journeys.extend(retracted_journey_row(customer.name, journey_id, origin) for journey_id in gone)
        customer.journey_ids = current


def gather_state(customer: Customer, origin: Origin, rows: Rows, former: Cold | None) -> Cold:
    """Append the state of a customer as it must be stored now; returns its packed form."""
    sealed = list(former.sealed) if former else []
    stored = len(sealed)
    del sealed[customer.sealed_segments :]
    log = customer.log
    while len(log) - len(sealed) * SEGMENT_TOUCHES >= 2 * SEGMENT_TOUCHES:
        start = len(sealed) * SEGMENT_TOUCHES
        sealed.append(pack_touches(log[start : start + SEGMENT_TOUCHES]))
        customer.packed = NOTHING_PACKED
        rows.states.append((customer.key, len(sealed), customer.key_hash, 0, sealed[-1], origin.version, 0))
    for segment in range(len(sealed) + 1, stored + 1):
        rows.states.append((customer.key, segment, customer.key_hash, 0, b"", origin.version, 1))
    customer.sealed_segments = len(sealed)
    packed, before = (customer.packed, former.head) if former else (NOTHING_PACKED, b"")
    head, customer.packed = pack_head(customer.head(), log[len(sealed) * SEGMENT_TOUCHES :], before, packed)
    # Who takes the partition over looks at once at a customer for whom there is something to be done.
    has_errand = customer.identity is not None and customer.identity.has_errand
    due_ms = NEVER_MS if has_errand else customer.due_ms
    rows.states.append((customer.key, 0, customer.key_hash, due_ms, head, origin.version, 0))
    return Cold(customer.due_ms, customer.scheduled_ms, head, tuple(sealed))


def gather_gone(customer: Customer, origin: Origin, rows: Rows, former: Cold | None) -> None:
    """Append the rows that remove the state of a customer who has nothing open any more."""
    for segment in range(len(former.sealed) + 1 if former else 1):
        rows.states.append((customer.key, segment, customer.key_hash, 0, b"", origin.version, 1))


def gather_identity(desk: IdentityDesk, decided_ms: int, rows: Rows) -> None:
    """Append the evidence that has come and the decisions that were taken since the last flush."""
    rows.identity_links.extend(map(link_row, desk.links))
    rows.identity_owners.extend(owner_row(each, decided_ms) for each in desk.decisions.values())
    rows.redirects.extend(desk.redirects)
    desk.links, desk.decisions, desk.redirects = [], {}, []

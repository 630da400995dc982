"""Stitching whole histories: one customer after another, all touchpoints at once, as of the end of history. Pure.

The code of the stream does it: touches are added in order and reviewed as of a time, so journeys, promises and episodes
are those of a worker that has read the same touchpoints and whose partition has come to that time.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from schemas.identifiers import customer_key
from streams.alert_tray import AlertTray
from streams.customer import Customer
from streams.customer_store import unpack
from streams.episodes import Context
from streams.gathering import Cold, gather_gone, gather_results, gather_state
from streams.identity.asking import Known
from streams.identity.choice import add_evidence
from streams.identity.state import IdentityState
from streams.policy import Policy
from streams.rows import Origin, Rows, TouchpointColumns
from streams.rules.model import Rule
from streams.touch import Touch, identify, rank

IS_DELETED = -1
"""Where rows of journeys and alerts say that they take something back."""


@dataclass(frozen=True, slots=True)
class Found:
    """What was known of a customer before: stored state, ids of rows that are written, and what is said of identity."""

    stored: Cold | None = None
    journey_ids: Sequence[str] = ()
    promise_ids: Sequence[str] = ()
    episode_ids: Sequence[str] = ()
    known: Known | None = None


NOTHING = Found()


class Standing(NamedTuple):
    """Of one partition: what marks its rows, and the time to which history has brought it."""

    origin: Origin
    time_ms: int


class Stitching:
    """`standings` by partition. `journeys` and `alerts` are how many were written so far."""

    def __init__(
        self, policy: Policy, rules: Mapping[str, Rule], context: Context, standings: Sequence[Standing]
    ) -> None:
        self._policy = policy
        self._rules = rules
        self._context = context
        self._standings = standings
        self._trays = [AlertTray() for _ in standings]
        self._rows = Rows()
        self._taken_back = TouchpointColumns()
        self.journeys = 0
        self.alerts = 0

    def stitch(self, name: str, touches: list[Touch], found: Found = NOTHING) -> None:
        """Stitch all touches of one customer, by its name in the tables; they come in order. None may be left."""
        customer = self._make(customer_key(name), found, touches)
        standing = self._standings[customer.key_hash % len(self._standings)]
        kept = self._drop_repeats(customer, touches, standing.origin)
        if found.stored is None:
            customer.fill(kept)
        else:
            customer.replace(kept, "late_data")
        if found is not NOTHING:
            unknown = set(found.episode_ids) - customer.episodes.states.keys()
            customer.adopt_orphans(found.journey_ids, found.promise_ids, unknown)
        self._review(customer, standing)
        self._keep(customer, standing, found.stored)

    def take(self, detected_ms: int) -> Rows:
        """Everything that was gathered since it was last taken. `detected_ms`: the wall clock."""
        for tray, standing in zip(self._trays, self._standings, strict=True):
            tray.gather(self._rules, detected_ms, standing.origin, self._rows)
        rows, self._rows = self._rows, Rows()
        rows.touchpoints.take(self._taken_back)
        self.journeys += sum(not row[IS_DELETED] for row in rows.journeys)
        self.alerts += sum(not row[IS_DELETED] for row in rows.alerts)
        return rows

    def _make(self, key: str, found: Found, touches: Sequence[Touch]) -> Customer:
        if found.stored is not None:
            customer = unpack(key, self._policy, found.stored)
            if customer.identity is not None:
                # What is kept of it was before the backfill: the worker asks for it anew.
                customer.identity.is_known = False
            return customer
        customer = Customer(key, self._policy)
        if found.known is not None:
            customer.identity = _identity(found.known, self._policy, touches[-1].occurred_ms if touches else 0)
        return customer

    def _drop_repeats(self, customer: Customer, touches: list[Touch], origin: Origin) -> list[Touch]:
        """Of versions of one touchpoint only that which counts; the rows of others are taken back."""
        if len({touch.event_id for touch in touches}) == len(touches):
            return touches
        first: dict[str, Touch] = {}
        for touch in sorted(touches, key=rank):
            identity = identify(first, touch)
            if identity in first:
                self._taken_back.retract(customer.name, touch, origin.partition)
            else:
                first[identity] = touch
        kept = {id(touch) for touch in first.values()}
        return [touch for touch in touches if id(touch) in kept]

    def _review(self, customer: Customer, standing: Standing) -> None:
        tray = self._trays[standing.origin.partition]
        for state in customer.review(standing.time_ms, self._context):
            tray.put(customer.name, state)
        gather_results(customer, standing.time_ms, standing.origin, self._rows)

    def _keep(self, customer: Customer, standing: Standing, stored: Cold | None) -> None:
        """Store what can still change, as a worker would have it in memory now."""
        if customer.may_forget(standing.time_ms):
            count = len(customer.log)
            if customer.forget(standing.time_ms):
                if stored is not None:
                    gather_gone(customer, standing.origin, self._rows, stored)
                return
            if len(customer.log) < count:
                self._review(customer, standing)
        gather_state(customer, standing.origin, self._rows, stored)


def _identity(known: Known, policy: Policy, active_ms: int) -> IdentityState:
    """What a worker would know of an identifier that has read all evidence."""
    state = IdentityState(is_known=True, owner=known.owner, status=known.status, version=known.version)
    state.active_ms = active_ms
    # What stays with an identifier that belongs to somebody is there by a circle of links.
    state.is_settled = bool(known.owner)
    for each in known.evidence:
        add_evidence(state.evidence, each, policy.limits)
    return state

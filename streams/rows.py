"""Rows for each table, gathered between two flushes. Pure: columns and tuples, in the order of `sinks.tables`."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import msgspec

from schemas.catalogue import SOURCES, STAGES
from schemas.links import Link
from schemas.topics import TOUCHPOINTS as TOUCHPOINTS_TOPIC
from sinks import tables
from sinks.tables import SEPARATOR
from streams.customer import Customer
from streams.friction.texts import Wording
from streams.identity.shelf import Decided
from streams.policy import Policy, ScoreCells
from streams.records import Arrival, DecodedChunk
from streams.rules.model import Rule
from streams.scoring import EpisodeFacts, JourneyFacts, Score, Weights, score_journey
from streams.states import EpisodeState, PromiseState
from streams.stitching import Journey
from streams.summary import Summary
from streams.touch import Touch

NO_JOURNEY = "00000000-0000-0000-0000-000000000000"
_encode_json = msgspec.json.Encoder().encode


@dataclass(frozen=True, slots=True)
class Origin:
    """What marks every row that one partition writes in one flush."""

    partition: int
    offset: int
    version: int

    def marks(self, is_deleted: int = 0) -> tuple[str, int, int, int, int]:
        """The common last columns of a flush's rows."""
        return TOUCHPOINTS_TOPIC, self.partition, self.offset, self.version, is_deleted


class Named(Protocol):
    """Under whom a touchpoint is stored."""

    @property
    def name(self) -> str: ...
    @property
    def identifiers_json(self) -> str: ...


class TouchpointColumns:
    """Columns of `tables.TOUCHPOINTS`, filled a chunk at a time."""

    def __init__(self) -> None:
        self.columns: list[list[Any]] = [[] for _ in tables.TOUCHPOINTS.columns]
        self._retractions: list[tuple[Any, ...]] = []

    def __len__(self) -> int:
        return len(self.columns[0]) + len(self._retractions)

    def extend(
        self, chunk: DecodedChunk, customers: Sequence[Named], arrivals: Sequence[Arrival], late: Sequence[int]
    ) -> None:
        """Append accepted arrivals and the customers that they belong to, in the same order."""
        count = len(arrivals)
        touches = [arrival.touch for arrival in arrivals]
        wires = [arrival.wire for arrival in arrivals]
        added: tuple[Iterable[Any], ...] = (
            [customer.name for customer in customers],
            [touch.occurred_ms for touch in touches],
            [touch.source for touch in touches],
            [touch.event_id for touch in touches],
            [touch.type for touch in touches],
            [touch.channel or "" for touch in touches],
            [touch.order_id or "" for touch in touches],
            [touch.case_id or "" for touch in touches],
            [touch.store_id or "" for touch in touches],
            [touch.agent_id or "" for touch in touches],
            [
                customer.identifiers_json if arrival.is_plain else _encode_json(arrival.wire.identifiers).decode()
                for arrival, customer in zip(arrivals, customers, strict=True)
            ],
            [str(wire.properties, "utf-8") for wire in wires],
            [touch.received_ms for touch in touches],
            [arrival.sent_ms for arrival in arrivals],
            [a.touch.occurred_ms if a.original_ms is None else a.original_ms for a in arrivals],
            late,
            [wire.schema_version for wire in wires],
            [_encode_json(a.hop.via).decode() if a.hop.via else "" for a in arrivals],
            [touch.moves for touch in touches],
            [chunk.topic] * count,
            [chunk.partition] * count,
            [arrival.offset for arrival in arrivals],
            [0] * count,
        )
        for column, values in zip(self.columns, added, strict=True):
            column.extend(values)

    def take(self, other: TouchpointColumns) -> None:
        """Move all rows of another into this one."""
        other._fold()
        if not len(self):
            self.columns, other.columns = other.columns, self.columns
            return
        for column, values in zip(self.columns, other.columns, strict=True):
            column.extend(values)
            values.clear()

    def retract(self, customer: str, touch: Touch, partition: int, is_late: bool = False) -> None:
        """Delete the row of a touchpoint: an earlier received version has superseded it, or it has moved on."""
        self._retractions.append(
            (
                customer, touch.occurred_ms, touch.source, touch.event_id, touch.type, "", "", "", "", "", "{}", "{}",
                touch.received_ms, 0, touch.occurred_ms, int(is_late), 1, "", touch.moves, TOUCHPOINTS_TOPIC, partition,
                0, 1,
            )
        )  # fmt: skip

    def _fold(self) -> None:
        """Put retractions where the other rows are."""
        if self._retractions:
            for column, values in zip(self.columns, zip(*self._retractions, strict=True), strict=True):
                column.extend(values)
            self._retractions = []


@dataclass(slots=True)
class Rows:
    """Everything that one flush writes, table by table; customer states last."""

    touchpoints: TouchpointColumns = field(default_factory=TouchpointColumns)
    journeys: list[tuple[Any, ...]] = field(default_factory=list)
    promises: list[tuple[Any, ...]] = field(default_factory=list)
    alerts: list[tuple[Any, ...]] = field(default_factory=list)
    dead_letters: list[tuple[Any, ...]] = field(default_factory=list)
    facts: list[tuple[Any, ...]] = field(default_factory=list)
    identity_links: list[tuple[Any, ...]] = field(default_factory=list)
    identity_owners: list[tuple[Any, ...]] = field(default_factory=list)
    redirects: list[tuple[Any, ...]] = field(default_factory=list)
    states: list[tuple[Any, ...]] = field(default_factory=list)


def journey_row(customer: Customer, journey: Journey, origin: Origin) -> tuple[Any, ...]:
    """A row of `tables.JOURNEYS`."""
    journey_id = journey.journey_id(customer.key)
    summary = customer.summarise(journey)
    promises = _count_promises(customer, journey) if journey.promises else _NO_PROMISES
    episodes = customer.episodes.of_journey(journey_id) if customer.episodes.states else []
    weights = customer.policy.weights
    scores = _NO_SCORES if weights is None else _score(summary, promises, episodes, customer.policy, weights)
    return (
        customer.name,
        journey_id,
        journey.first.occurred_ms,
        journey.last.occurred_ms,
        "closed" if customer.is_closed(journey) else "open",
        summary.outcome(),
        journey.count,
        *summary.sources,
        *summary.stages,
        SEPARATOR.join(summary.channels),
        SEPARATOR.join(summary.path),
        summary.contacts,
        summary.orders,
        *promises[:-1],
        summary.queue_wait_ms,
        summary.contact_wait_ms,
        promises[-1],
        sum(state.kind == "friction" for state in episodes),
        sum(state.kind == "delight" for state in episodes),
        *scores,
        *origin.marks(),
    )


MOST_SCORES = 65_536
_NO_SCORES = (0.0, 0.0, "", "", "", "")
"""Experience, effort, and names and values of the parts of both."""
_NO_PROMISES = (0, 0, 0, 0, 0, tables.NO_DEVIATION_MS)


def _score(
    summary: Summary, promises: tuple[int, ...], episodes: Sequence[EpisodeState], policy: Policy, weights: Weights
) -> ScoreCells:
    facts = JourneyFacts(
        touchpoints=summary.count,
        contacts=summary.contacts,
        transfers=summary.transfers,
        channels=len(summary.own_channels),
        orders=summary.orders,
        lookups=summary.lookups,
        outcome=summary.outcome(),
        promises_kept=promises[2],
        promises_late=promises[3],
        promises_broken=promises[4],
        delivery_deviation_ms=promises[5],
        queue_wait_ms=summary.queue_wait_ms,
        contact_wait_ms=summary.contact_wait_ms,
        episodes=tuple([EpisodeFacts(s.rule, s.kind, s.severity or "warning", s.status) for s in episodes]),
    )
    # Most journeys are like many others.
    known = policy.score_cells
    cells = known.get(facts)
    if cells is None:
        if len(known) >= MOST_SCORES:
            known.clear()
        scores = score_journey(facts, weights)
        cells = scores.experience.value, scores.effort.value, *_join(scores.experience), *_join(scores.effort)
        known[facts] = cells
    return cells


def _join(score: Score) -> tuple[str, str]:
    return SEPARATOR.join(score.parts), SEPARATOR.join(map(str, score.parts.values()))


def _count_promises(customer: Customer, journey: Journey) -> tuple[int, int, int, int, int, int]:
    """All, open, kept, late and broken ones, and the greatest deviation of a delivery in ms."""
    statuses = [customer.promises[promise.promise_id(customer.key)].status for promise in journey.promises]
    deviations = [
        p.settled_ms - p.latest_promised_ms
        for p in journey.promises
        if p.settled_ms and not p.withdrawn and p.kind.name == "delivery"
    ]
    return (
        len(statuses),
        statuses.count("open"),
        statuses.count("kept"),
        statuses.count("late"),
        statuses.count("broken"),
        max(deviations, default=tables.NO_DEVIATION_MS),
    )


def retracted_journey_row(customer: str, journey_id: str, origin: Origin) -> tuple[Any, ...]:
    """The row that removes a journey."""
    numbers = len(SOURCES) + len(STAGES)
    return (
        (customer, journey_id, 0, 0, "closed", "browsing", 0)
        + (0,) * numbers
        + ("", "", 0, 0, 0, 0, 0, 0, 0, -1, -1, tables.NO_DEVIATION_MS, 0, 0)
        + _NO_SCORES
        + origin.marks(is_deleted=1)
    )


def promise_row(customer: str, state: PromiseState, origin: Origin) -> tuple[Any, ...]:
    """A row of `tables.PROMISES`."""
    return (
        customer,
        state.promise_id,
        state.journey_id,
        state.kind,
        state.subject,
        state.requested_ms,
        state.first_promised_ms,
        state.latest_promised_ms,
        state.settled_ms or 0,
        state.status,
        state.responsible,
        state.parcels,
        state.parcels_delivered,
        *origin.marks(),
    )


def retracted_promise_row(customer: str, promise_id: str, origin: Origin) -> tuple[Any, ...]:
    """The row that removes a promise."""
    return (customer, promise_id, NO_JOURNEY, "", "", 0, 0, 0, 0, "withdrawn", "", 0, 0, *origin.marks(is_deleted=1))


def alert_row(
    customer: str,
    rule: Rule,
    state: EpisodeState,
    wording: Wording,
    detected_ms: int,
    origin: Origin,
    *,
    affected: int | None = None,
) -> tuple[Any, ...]:
    """A row of `tables.ALERTS`. `affected` None: not counted."""
    return (
        customer,
        state.episode_id,
        state.journey_id,
        state.rule,
        state.rule_version,
        state.severity or rule.severity,
        state.status,
        state.subject,
        state.opened_ms,
        state.last_seen_ms,
        state.resolved_ms or 0,
        state.threshold,
        state.actual,
        state.unit,
        rule.title.en,
        rule.title.he,
        wording.reason["en"],
        wording.reason["he"],
        rule.advice.en,
        rule.advice.he,
        state.store_id,
        SEPARATOR.join(state.evidence),
        detected_ms,
        state.kind,
        state.change,
        state.limit_ms or 0,
        wording.silent_if["en"],
        wording.silent_if["he"],
        state.withdrawn_because,
        tables.NOT_COUNTED if affected is None else affected,
        *origin.marks(),
    )


def retracted_alert_row(customer: str, episode_id: str, origin: Origin) -> tuple[Any, ...]:
    """The row that removes an episode which no clean run would have."""
    return (
        (customer, episode_id, NO_JOURNEY, "", 0, "info", "withdrawn", "", 0, 0, 0, 0.0, 0.0, "seconds")
        + ("",) * 8
        + (0, "friction", "withdrawn", 0, "", "", "", tables.NOT_COUNTED)
        + origin.marks(is_deleted=1)
    )


def link_row(link: Link) -> tuple[Any, ...]:
    """A row of `tables.IDENTITY_LINKS`."""
    return (
        link.identifier, link.owner, link.rule, link.occurred_ms, link.source, link.event_id, link.by, link.reason
    )  # fmt: skip


def owner_row(decided: Decided, decided_ms: int) -> tuple[Any, ...]:
    """A row of `tables.IDENTITY_OWNERS`."""
    owner, status, owners, evidence = decided.decision
    decider = (
        ("", "", "", 0)
        if evidence is None
        else (evidence.rule, evidence.source, evidence.event_id, evidence.occurred_ms)
    )
    return (decided.identifier, owner, status, owners, *decider, decided.first_ms, decided_ms, decided.version)

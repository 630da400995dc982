"""How a journey was for the customer and how much work it was: two scores from 0 to 100, each the sum of its parts.

Pure. All points are whole quarters, which floats hold exactly: parts add up to their score to the last bit, in any
order, also as the Float32 of a row. A part's name says its group before the dot (`friction.long_wait`); a part that is
0 is left out, but for `base`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import msgspec

LOWEST, HIGHEST = 0.0, 100.0
QUARTERS = 4
"""Points are whole multiples of one over this."""


class EpisodeFacts(msgspec.Struct, frozen=True, gc=False):
    """What a score needs of an episode. Of the kinds, only `friction` and `delight` count; no `severity` is empty."""

    rule: str
    kind: str
    severity: str
    status: str


class JourneyFacts(msgspec.Struct, frozen=True, gc=False):
    """What a journey has come to.

    `contacts`: support contacts started. `transfers`: times passed on within them. `channels`: different channels in
    which the customer did something, so not those in which only the company sends. `orders`: orders and till
    purchases. `lookups`: times the customer looked where the order is. A negative deviation is an early delivery or
    none, a negative wait is none.
    """

    touchpoints: int
    contacts: int
    transfers: int
    channels: int
    orders: int
    lookups: int
    outcome: str
    promises_kept: int
    promises_late: int
    promises_broken: int
    delivery_deviation_ms: int
    queue_wait_ms: int
    contact_wait_ms: int
    episodes: Sequence[EpisodeFacts] = ()


class Step(NamedTuple):
    """Points once something takes longer than `over_ms`; the furthest step passed counts, alone."""

    over_ms: int
    points: float


class Tariff(NamedTuple):
    """Points for each of a thing, up to a bound."""

    each: float
    at_most: float


class EpisodePoints(NamedTuple):
    """Points of one episode: those of its rule, else those of its severity."""

    by_severity: Mapping[str, float]
    by_rule: Mapping[str, float]


class ExperienceWeights(NamedTuple):
    """What makes up `experience`. Only `outcome` is signed; whether another adds or takes away lies in what it is."""

    base: float
    friction: EpisodePoints
    delight: EpisodePoints
    kept: float
    late: float
    broken: float
    outcome: Mapping[str, float]
    further_order: float
    queue_wait: Sequence[Step]
    contact_wait: Sequence[Step]
    late_delivery: Sequence[Step]


class EffortWeights(NamedTuple):
    """What makes up `effort`. Nothing takes away."""

    base: float
    touchpoints: Tariff
    contacts: Tariff
    transfers: Tariff
    channel_switches: Tariff
    lookups: Tariff
    queue_wait: Sequence[Step]
    contact_wait: Sequence[Step]
    friction: EpisodePoints


class Weights(NamedTuple):
    """What everything counts, as `streams.score_file` reads it. `repeats`: the share that a repeat counts."""

    version: int
    repeats: float
    experience: ExperienceWeights
    effort: EffortWeights


class Score(msgspec.Struct, frozen=True, gc=False):
    """A value from 0 to 100 and the parts whose sum it is."""

    value: float
    parts: dict[str, float]


class Scores(msgspec.Struct, frozen=True, gc=False):
    """Both scores of a journey: the higher `experience` the better, the higher `effort` the more work."""

    experience: Score
    effort: Score


def score_journey(facts: JourneyFacts, weights: Weights) -> Scores:
    """Both scores. The order of the episodes makes no difference, not even to the order of the parts."""
    return Scores(_score_experience(facts, weights), _score_effort(facts, weights))


def _score_experience(facts: JourneyFacts, weights: Weights) -> Score:
    scale, repeats = weights.experience, weights.repeats
    parts = {"base": scale.base, "outcome." + facts.outcome: scale.outcome[facts.outcome]}
    if facts.orders > 1:
        parts["orders.further"] = _repeat(scale.further_order, facts.orders - 1, repeats)
    if facts.promises_kept:
        parts["promises.kept"] = _repeat(scale.kept, facts.promises_kept, repeats)
    if facts.promises_late:
        parts["promises.late"] = -_repeat(scale.late, facts.promises_late, repeats)
    if facts.promises_broken:
        parts["promises.broken"] = -_repeat(scale.broken, facts.promises_broken, repeats)
    if facts.delivery_deviation_ms > 0:
        parts["delivery.late"] = -_climb(scale.late_delivery, facts.delivery_deviation_ms)
    if facts.queue_wait_ms > 0:
        parts["waits.queue"] = -_climb(scale.queue_wait, facts.queue_wait_ms)
    if facts.contact_wait_ms > 0:
        parts["waits.contact"] = -_climb(scale.contact_wait, facts.contact_wait_ms)
    if facts.episodes:
        _add_episodes(parts, facts.episodes, "delight", scale.delight, repeats, +1)
        _add_episodes(parts, facts.episodes, "friction", scale.friction, repeats, -1)
    return _add_up(parts)


def _score_effort(facts: JourneyFacts, weights: Weights) -> Score:
    scale = weights.effort
    parts = {"base": scale.base, "touchpoints": _count(scale.touchpoints, facts.touchpoints)}
    if facts.contacts:
        parts["contacts"] = _count(scale.contacts, facts.contacts)
    if facts.transfers:
        parts["transfers"] = _count(scale.transfers, facts.transfers)
    if facts.channels > 1:
        parts["channel_switches"] = _count(scale.channel_switches, facts.channels - 1)
    if facts.lookups:
        parts["lookups"] = _count(scale.lookups, facts.lookups)
    if facts.queue_wait_ms > 0:
        parts["waits.queue"] = _climb(scale.queue_wait, facts.queue_wait_ms)
    if facts.contact_wait_ms > 0:
        parts["waits.contact"] = _climb(scale.contact_wait, facts.contact_wait_ms)
    if facts.episodes:
        _add_episodes(parts, facts.episodes, "friction", scale.friction, weights.repeats, +1)
    return _add_up(parts)


def _add_episodes(
    parts: dict[str, float],
    episodes: Sequence[EpisodeFacts],
    kind: str,
    points: EpisodePoints,
    repeats: float,
    sign: int,
) -> None:
    by_rule: dict[str, list[float]] = {}
    for episode in episodes:
        if episode.kind == kind and episode.status != "withdrawn":
            own = points.by_rule.get(episode.rule)
            worth = points.by_severity[episode.severity] if own is None else own
            by_rule.setdefault(episode.rule, []).append(worth)
    for rule in sorted(by_rule):
        parts[f"{kind}.{rule}"] = sign * _diminish(by_rule[rule], repeats)


def _diminish(points: Sequence[float], repeats: float) -> float:
    """The heaviest in full and each further one less, rounded to a quarter: one more never makes it less."""
    total, share = 0.0, 1.0
    for worth in sorted(points, reverse=True):
        total += worth * share
        share *= repeats
    return round(total * QUARTERS) / QUARTERS


def _repeat(points: float, count: int, repeats: float) -> float:
    return points if count == 1 else _diminish([points] * count, repeats)


def _count(tariff: Tariff, count: int) -> float:
    each, at_most = tariff
    points = each * count
    return points if points < at_most else at_most


def _climb(steps: Sequence[Step], lasted_ms: int) -> float:
    points = 0.0
    for step in steps:
        if lasted_ms <= step.over_ms:
            break
        points = step.points
    return points


def _add_up(parts: dict[str, float]) -> Score:
    """The score of these parts; where they leave 0 to 100, a part `limit` brings them back."""
    values = parts.values()
    value = sum(values)
    if 0.0 in values:
        parts = {name: points for name, points in parts.items() if points or name == "base"}
    if LOWEST <= value <= HIGHEST:
        return Score(value, parts)
    limited = LOWEST if value < LOWEST else HIGHEST
    parts["limit"] = limited - value
    return Score(limited, parts)

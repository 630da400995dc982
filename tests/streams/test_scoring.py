"""Scores: parts that add up to the last bit, order that makes no difference, friction that never helps."""

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any, get_args

import msgspec
import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from schemas.errors import Misconfigured
from sinks.tables import NO_DEVIATION_MS
from streams.rules.loading import load_rules
from streams.score_file import PAGE, SHIPPED, OutcomePoints, load_weights, parse_scores, replace_tables, write_tables
from streams.scoring import EpisodeFacts, JourneyFacts, Score, Scores, Weights, score_journey
from streams.summary import NO_WAIT_MS, Outcome

SECOND_MS, MINUTE_MS, DAY_MS = 1_000, 60_000, 86_400_000
SHIPPED_TEXT = SHIPPED.read_text("utf-8")
WEIGHTS = load_weights()
RULES = ("long_wait", "repeat_contact", "wismo", "unexpected_gift", "promoter", "own_rule")
SEVERITIES = ("info", "warning", "critical")
NOTHING = JourneyFacts(1, 0, 0, 1, 0, 0, "browsing", 0, 0, 0, NO_DEVIATION_MS, NO_WAIT_MS, NO_WAIT_MS)


def facts(**known: Any) -> JourneyFacts:
    return msgspec.structs.replace(NOTHING, **known)


def friction(rule: str, severity: str = "warning", status: str = "open") -> EpisodeFacts:
    return EpisodeFacts(rule, "friction", severity, status)


def delight(rule: str) -> EpisodeFacts:
    return EpisodeFacts(rule, "delight", "info", "resolved")


episodes = st.builds(
    EpisodeFacts,
    rule=st.sampled_from(RULES),
    kind=st.sampled_from(("friction", "friction", "delight", "opportunity", "source")),
    severity=st.sampled_from(SEVERITIES),
    status=st.sampled_from(("open", "resolved", "withdrawn")),
)
of_one_rule = st.sampled_from(SEVERITIES).map(lambda severity: friction("own_rule", severity))
counts = st.integers(0, 4) | st.integers(0, 200)
waits = st.just(NO_WAIT_MS) | st.integers(0, 40 * MINUTE_MS) | st.integers(0, 9 * DAY_MS)
journeys = st.builds(
    JourneyFacts,
    touchpoints=st.integers(1, 10_000),
    contacts=counts,
    transfers=counts,
    channels=st.integers(0, 9),
    orders=counts,
    lookups=counts,
    outcome=st.sampled_from(get_args(Outcome)),
    promises_kept=counts,
    promises_late=counts,
    promises_broken=counts,
    delivery_deviation_ms=st.just(NO_DEVIATION_MS) | st.integers(-DAY_MS, 9 * DAY_MS),
    queue_wait_ms=waits,
    contact_wait_ms=waits,
    episodes=st.lists(episodes, max_size=8),
)


def changed(journey: JourneyFacts, **changed: Any) -> JourneyFacts:
    return msgspec.structs.replace(journey, **changed)


def of_kind(episode: EpisodeFacts, kind: str) -> EpisodeFacts:
    return msgspec.structs.replace(episode, kind=kind)


@st.composite
def reweighed(draw: st.DrawFn) -> Weights:
    """The shipped weights with others for some of them."""
    quarters = st.integers(0, 200).map(lambda number: number / 4)
    severities = dict(zip(SEVERITIES, sorted(draw(st.tuples(quarters, quarters, quarters))), strict=True))
    points = WEIGHTS.experience.friction._replace(by_severity=severities, by_rule={"wismo": draw(quarters)})
    experience = WEIGHTS.experience._replace(base=draw(quarters), friction=points, kept=draw(quarters))
    effort = WEIGHTS.effort._replace(friction=points)
    return WEIGHTS._replace(repeats=draw(st.floats(0, 1)), experience=experience, effort=effort)


weights = st.just(WEIGHTS) | reweighed()


def both(scores: Scores) -> tuple[Score, Score]:
    return scores.experience, scores.effort


@given(journeys, weights, st.randoms())
def test_parts_add_up_to_the_last_bit_in_any_order_and_width(
    journey: JourneyFacts, scale: Weights, chance: Any
) -> None:
    for score in both(score_journey(journey, scale)):
        points = list(score.parts.values())
        chance.shuffle(points)
        assert 0 <= score.value <= 100
        assert sum(points) == score.value == math.fsum(points)
        assert sum(np.array(points, np.float32), np.float32(0)) == score.value
        assert all(round(number, 2) == number and (number or name == "base") for name, number in score.parts.items())


@given(journeys, weights)
def test_a_limit_is_there_only_when_it_acts(journey: JourneyFacts, scale: Weights) -> None:
    for score in both(score_journey(journey, scale)):
        rest = sum(points for name, points in score.parts.items() if name != "limit")
        assert ("limit" in score.parts) == (not 0 <= rest <= 100)


@given(journeys, weights, st.data())
def test_the_order_of_episodes_makes_no_difference(journey: JourneyFacts, scale: Weights, data: st.DataObject) -> None:
    felt = [*journey.episodes, *data.draw(st.lists(of_one_rule, max_size=4))]
    shuffled = data.draw(st.permutations(felt))
    one, other = (score_journey(changed(journey, episodes=each), scale) for each in (felt, shuffled))
    assert one == other
    for left, right in zip(both(one), both(other), strict=True):
        assert list(left.parts) == list(right.parts), "rows of the same journey are the same to the byte"


def with_episode(journey: JourneyFacts, episode: EpisodeFacts) -> JourneyFacts:
    return changed(journey, episodes=[*journey.episodes, episode])


def escalated(journey: JourneyFacts, _: EpisodeFacts) -> JourneyFacts:
    return changed(journey, episodes=[msgspec.structs.replace(each, severity="critical") for each in journey.episodes])


def worse(name: str, by: int) -> Callable[[JourneyFacts, EpisodeFacts], JourneyFacts]:
    return lambda journey, _: changed(journey, **{name: getattr(journey, name) + by})


WORSE: dict[str, Callable[[JourneyFacts, EpisodeFacts], JourneyFacts]] = {
    "friction": lambda journey, episode: with_episode(journey, of_kind(episode, "friction")),
    "escalation": escalated,
    "queue wait": worse("queue_wait_ms", 3 * MINUTE_MS),
    "contact wait": worse("contact_wait_ms", DAY_MS),
    "late promise": worse("promises_late", 1),
    "broken promise": worse("promises_broken", 1),
    "contact": worse("contacts", 1),
    "transfer": worse("transfers", 1),
    "channel": worse("channels", 1),
    "lookup": worse("lookups", 1),
    "touchpoint": worse("touchpoints", 1),
    "later delivery": lambda journey, _: changed(
        journey, delivery_deviation_ms=max(journey.delivery_deviation_ms, 0) + DAY_MS
    ),
}


@pytest.mark.no_cover
@pytest.mark.parametrize("change", WORSE.values(), ids=WORSE)
@given(journey=journeys, episode=episodes, scale=weights)
def test_what_is_worse_never_raises_experience_nor_saves_effort(
    change: Callable[[JourneyFacts, EpisodeFacts], JourneyFacts],
    journey: JourneyFacts,
    episode: EpisodeFacts,
    scale: Weights,
) -> None:
    before, after = score_journey(journey, scale), score_journey(change(journey, episode), scale)
    assert after.experience.value <= before.experience.value
    assert after.effort.value >= before.effort.value


@given(journeys, episodes, weights)
def test_a_kept_promise_or_a_delight_never_lowers_experience(
    journey: JourneyFacts, episode: EpisodeFacts, scale: Weights
) -> None:
    before = score_journey(journey, scale)
    kept = score_journey(changed(journey, promises_kept=journey.promises_kept + 1), scale)
    pleased = score_journey(with_episode(journey, of_kind(episode, "delight")), scale)
    assert min(kept.experience.value, pleased.experience.value) >= before.experience.value
    assert kept.effort == pleased.effort == before.effort


@given(journeys, episodes, st.sampled_from((("status", "withdrawn"), ("kind", "opportunity"), ("kind", "source"))))
@example(NOTHING, friction("long_wait", "critical"), ("status", "withdrawn"))
def test_what_was_withdrawn_or_is_not_felt_counts_nothing(
    journey: JourneyFacts, episode: EpisodeFacts, made: tuple[str, str]
) -> None:
    silent = msgspec.structs.replace(episode, **dict([made]))
    assert score_journey(with_episode(journey, silent), WEIGHTS) == score_journey(journey, WEIGHTS)


@pytest.mark.parametrize(
    ("severities", "points"),
    [
        (["warning"], 12),
        (["warning"] * 2, 18),
        (["warning"] * 3, 21),
        (["warning"] * 50, 24),
        (["info", "critical", "warning"], 24 + 6 + 1),
    ],
)
def test_repeats_of_a_rule_count_half_of_the_one_before_the_heaviest_first(
    severities: list[str], points: float
) -> None:
    journey = facts(episodes=[friction("own_rule", severity) for severity in severities])
    assert score_journey(journey, WEIGHTS).experience.parts["friction.own_rule"] == -points


def test_rules_of_their_own_points_do_not_mind_the_severity_and_do_not_mix() -> None:
    journey = facts(episodes=[friction("wismo", "critical"), friction("long_wait", "info"), delight("promoter")])
    parts = {"base": 70.0, "friction.long_wait": -8.0, "friction.wismo": -6.0, "delight.promoter": 8.0}
    assert score_journey(journey, WEIGHTS).experience.parts == parts


@pytest.mark.parametrize(("wait_ms", "points"), [(-1, 0), (300_000, 0), (300_001, 2), (600_000, 2), (10**9, 8)])
def test_a_step_is_passed_strictly_and_the_furthest_counts_alone(wait_ms: int, points: float) -> None:
    scores = score_journey(facts(queue_wait_ms=wait_ms), WEIGHTS)
    assert scores.experience.value == 70 - points
    assert scores.effort.parts.get("waits.queue", 0) == points


UNEVENTFUL = facts(touchpoints=15, orders=1, outcome="converted", promises_kept=1, delivery_deviation_ms=-1)
CALLED_THREE_TIMES = facts(
    touchpoints=22,
    contacts=3,
    channels=2,
    orders=1,
    lookups=2,
    outcome="converted",
    promises_broken=1,
    contact_wait_ms=4 * MINUTE_MS,
    episodes=[friction(rule) for rule in ("repeat_contact", "wismo", "long_wait")]
    + [friction("broken_promise", "critical")],
)
PLEASED = changed(UNEVENTFUL, episodes=[delight("unexpected_gift"), delight("early_delivery")])
EXAMPLES = {
    "uneventful order": UNEVENTFUL,
    "pleasant surprise": PLEASED,
    "look around": facts(touchpoints=4),
    "one call": facts(touchpoints=4, contacts=1, outcome="resolved", contact_wait_ms=40 * SECOND_MS),
    "three calls": CALLED_THREE_TIMES,
    "store": facts(
        touchpoints=5,
        channels=2,
        queue_wait_ms=25 * MINUTE_MS,
        episodes=[friction("long_wait", "critical"), friction("stock_mismatch")],
    ),
    "everything": facts(
        touchpoints=40,
        contacts=5,
        transfers=2,
        channels=2,
        outcome="unresolved",
        promises_broken=3,
        contact_wait_ms=2 * DAY_MS,
        episodes=[friction("missed_callback", "critical")] * 2 + [friction("unresolved_complaint", "critical")],
    ),
}


def test_the_scores_are_what_a_person_would_say() -> None:
    uneventful, pleased, called = (score_journey(each, WEIGHTS) for each in (UNEVENTFUL, PLEASED, CALLED_THREE_TIMES))
    assert 65 <= uneventful.experience.value <= 75 and 8 <= uneventful.effort.value <= 12
    assert pleased.experience.value > 80
    assert called.experience.value < 30 and called.effort.value > 50


@pytest.mark.parametrize("delivered_late", [False, True])
def test_three_calls_about_a_broken_promise_are_below_30_without_anything_else(delivered_late: bool) -> None:
    settled = {"promises_late": 1, "delivery_deviation_ms": 2 * DAY_MS} if delivered_late else {"promises_broken": 1}
    found = [friction("broken_promise", "critical"), friction("repeat_contact")]
    journey = facts(contacts=3, orders=1, outcome="converted", episodes=found, **settled)
    assert score_journey(journey, WEIGHTS).experience.value < 30


def write(name: str, score: Score) -> str:
    signed = [f"{'-' if points < 0 else '+'} {abs(points):g} {part}" for part, points in score.parts.items()]
    return f"    {name} {score.value:g} = {' '.join(signed).removeprefix('+ ')}\n"


@pytest.mark.parametrize("journey", EXAMPLES.values(), ids=EXAMPLES)
def test_the_worked_examples_of_the_page_are_true(journey: JourneyFacts) -> None:
    scores = score_journey(journey, WEIGHTS)
    lines = write("experience", scores.experience) + write("effort", scores.effort)
    assert lines in PAGE.read_text("utf-8"), f"docs/scores.md does not hold\n{lines}"


def test_the_tables_of_the_page_are_up_to_date() -> None:
    page = PAGE.read_text("utf-8")
    tables = write_tables(parse_scores(SHIPPED_TEXT, SHIPPED.name))
    assert replace_tables(page, tables) == page, "run `python -m streams.score_file`"


def test_every_outcome_has_its_points() -> None:
    assert set(OutcomePoints.model_fields) == set(get_args(Outcome))


@pytest.mark.parametrize(
    ("old", "new", "line"),
    [
        ("repeats: 0.5", "repeets: 0.5", "repeets: unknown key; did you mean repeats?"),
        ("kept: 3", "keptt: 3", "experience.promises.keptt: unknown key; did you mean kept?"),
        ("base: 70", "base: '70'", "experience.base: "),
        ("base: 70", "base: .nan", "experience.base: "),
        ("base: 70", "base: 101", "experience.base: "),
        ("base: 70", "base: -1", "experience.base: "),
        ("wismo: 6", "wismo: 6.1", "experience.friction.by_rule.wismo: 6.1 is no multiple of 0.25; write 6"),
        ("info: 4", "info: 13", "experience.friction.by_severity: points from info over warning to critical must not"),
        ("late: 5", "late: 11", "experience.promises: points from late to broken must not fall: 11"),
        ("over: 5m", "over: soon", "experience.waits.queue.0.over: 'soon' is no duration"),
        ("over: 5m", "over: 15m", "experience.waits.queue: over must not fall"),
        ("points: 4}", "points: 1}", "experience.waits.queue: points must not fall"),
        ("converted: 2, ", "", "experience.outcome.converted: "),
        ("version: 1", "version: 0", "version: "),
        ("repeats: 0.5", "repeats: 1.5", "repeats: "),
        ("version: 1", "version: [", "not YAML: "),
    ],
)
def test_a_bad_file_is_refused_with_one_line(tmp_path: Path, old: str, new: str, line: str) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(SHIPPED_TEXT.replace(old, new, 1), "utf-8")
    with pytest.raises(Misconfigured) as refused:
        load_weights(path)
    message = str(refused.value)
    assert "\n" not in message and message.startswith("mine.yaml:") and line in message


def test_a_file_that_is_not_there_or_no_text_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Misconfigured, match=r"mine\.yaml: cannot be read: No such file"):
        load_weights(tmp_path / "mine.yaml")
    (tmp_path / "mine.yaml").write_bytes(b"version: \xe9\xff")
    with pytest.raises(Misconfigured, match=r"^mine\.yaml: not YAML: byte 9 is not UTF-8"):
        load_weights(tmp_path / "mine.yaml")


def test_a_rule_that_is_not_there_is_refused_where_the_rules_are_known() -> None:
    named = {
        *WEIGHTS.experience.friction.by_rule,
        *WEIGHTS.experience.delight.by_rule,
        *WEIGHTS.effort.friction.by_rule,
    }
    assert load_weights(rules=named) == WEIGHTS
    with pytest.raises(Misconfigured, match=r"^scores\.yaml: .*friction\.by_rule\.wismo: .*did you mean wismoo\?"):
        load_weights(rules=named - {"wismo"} | {"wismoo"})


def test_the_shipped_weights_name_shipped_rules() -> None:
    assert load_weights(rules={rule.id for rule in load_rules()}) == WEIGHTS


def test_a_shop_changes_a_weight_by_giving_a_copy(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(SHIPPED_TEXT.replace("base: 70", "base: 60.25").replace("version: 1", "version: 2"), "utf-8")
    mine = load_weights(path)
    assert mine.version == 2
    assert score_journey(NOTHING, mine).experience.value == 60.25

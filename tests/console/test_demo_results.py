import io
from dataclasses import replace

import pytest
from rich.console import Console

from console.commands.demo import quote_statement
from console.demo_results import QUESTIONS, Counts, Outcome, shortfalls
from console.demo_screen import FIXED_LINES, alert_room, make_screen
from tests.console.test_alert_lines import make_episode

RULES = frozenset({"long_wait", "repeat_contact"})
GOOD = Outcome(
    Counts(sent=10, stored=10, journeys=2, alerts={"long_wait": 1, "repeat_contact": 2}),
    RULES,
    undelivered=0,
    workers=1,
    timeline_lines=5,
)


def test_a_demo_that_held_its_promises() -> None:
    assert shortfalls(GOOD) == []


@pytest.mark.parametrize(
    ("outcome", "told"),
    [
        (replace(GOOD, counts=replace(GOOD.counts, stored=9)), "10 touchpoints were sent and 9 can be queried"),
        (replace(GOOD, counts=replace(GOOD.counts, sent=0, stored=0)), "no touchpoint was sent"),
        (replace(GOOD, counts=replace(GOOD.counts, journeys=0)), "no journey was stitched"),
        (replace(GOOD, counts=replace(GOOD.counts, alerts={"long_wait": 1})), "no alert was seen of repeat_contact"),
        (replace(GOOD, counts=replace(GOOD.counts, lag=3)), "the worker is still 3 records behind"),
        (replace(GOOD, counts=replace(GOOD.counts, dead_letters=1)), "1 touchpoints were refused"),
        (replace(GOOD, undelivered=2), "2 touchpoints were not delivered"),
        (replace(GOOD, workers=0), "no worker answers"),
        (replace(GOOD, timeline_lines=0), "no journey with friction could be shown"),
        (replace(GOOD, failures=("the feed broke",)), "the feed broke"),
    ],
)
def test_each_broken_promise_is_told(outcome: Outcome, told: str) -> None:
    found = shortfalls(outcome)
    assert len(found) == 1 and told in found[0]


def test_questions_can_be_copied_into_a_shell_as_they_stand() -> None:
    for _, statement in QUESTIONS:
        assert quote_statement(statement) == f'"{statement}"'
        assert "journeys." not in statement.replace("analytics.journeys", "")


def test_what_a_shell_would_change_is_quoted_otherwise() -> None:
    assert quote_statement("SELECT '$x'") == "'SELECT '\"'\"'$x'\"'\"''"


@pytest.mark.parametrize(("width", "height"), [(80, 24), (120, 40), (60, 12)])
def test_the_screen_fits(width: int, height: int) -> None:
    episodes = [make_episode(reason={"en": "waited very long " * 20}) for _ in range(alert_room(height))]
    console = Console(width=width, height=height, record=True, file=io.StringIO())
    console.print(make_screen(replace(GOOD.counts, sent=1_234_567), episodes, "Ctrl-C stops everything"))
    lines = console.export_text().splitlines()
    assert len(lines) <= max(height, FIXED_LINES + 3)
    assert max(map(len, lines)) <= width

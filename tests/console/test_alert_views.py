import io
import re
from typing import Any, get_args
from uuid import UUID

import pytest
from rich.console import Console, RenderableType

from console.alert_actions import Standing, fold, list_silences
from console.alert_views import (
    END_OF_DIRECTION,
    LEFT_TO_RIGHT,
    detail_rows,
    detail_table,
    evidence_lines,
    head_line,
    history_lines,
    isolate,
    list_note,
    make_list,
    read_properties,
    style_of,
    what_line,
)
from console.alert_words import DEEDS, DONE, DONE_BEFORE, LABELS, VALUES
from console.commands.alerts import Grade, Kind, Status
from console.timeline import plain_lines
from schemas.alert_action import ACTIONS
from schemas.episode import EpisodeKind, EpisodeStatus, Severity, WithdrawnBecause
from streams.friction.texts import LANGUAGES
from tests.console.alert_samples import act, alert, at, silence, touchpoint, uuid

EVIL = "C\x1b[2J\u202e"


def drawn(thing: RenderableType, width: int = 200) -> str:
    console = Console(width=width, record=True, file=io.StringIO())
    console.print(thing)
    return console.export_text()


def test_a_line_of_the_list_says_which_when_what_who_where_and_why() -> None:
    text = drawn(make_list([alert(assigned_to="Dan", silenced=True, effective_status="resolved")], "en"))
    row = text.splitlines()[3]
    assert row.split() == [
        "00000000", "21", "Nov", "12:00:00", "▲", "C-1", "long_wait", "at", "S-1:", "waited", "12.5", "min",
        "[resolved,", "silenced,", "Dan]",
    ]  # fmt: skip
    assert "המתין" in drawn(make_list([alert()], "he"))


def test_the_list_fits_a_narrow_terminal() -> None:
    long = alert(reason_en="very long " * 30, customer_id="C-" + "x" * 200)
    text = drawn(make_list([long], "en"), 80)
    assert max(map(len, text.splitlines())) <= 80 and text.count("very") == 30


def test_what_is_over_is_not_coloured() -> None:
    assert (style_of(alert()), style_of(alert(effective_status="resolved"))) == ("bold red", "dim")


def test_no_name_can_move_the_cursor() -> None:
    bad = alert(customer_id=EVIL, assigned_to=EVIL, reason_en=EVIL, title_en=EVIL, advice_en=EVIL, evidence=[EVIL])
    texts = drawn(make_list([bad], "en")).splitlines() + [head_line(bad, "en").plain]
    texts += drawn(detail_table(bad, Standing(EVIL), list_silences([silence(1, 0, 5, rule=EVIL)]), "en")).splitlines()
    texts += plain_lines(evidence_lines(bad, [touchpoint("e1", 0, type=EVIL)], "en"))
    texts += history_lines([act(1, "ack", by=EVIL, note=EVIL)], "en")
    assert all(text.isprintable() for text in texts)


@pytest.mark.parametrize(
    ("counts", "told"),
    [
        ((3, 3, 0, False), "3 alerts"),
        ((1, 1, 2, False), "1 alert; silenced and not shown: 2 (--all shows them)"),
        ((50, 1200, 0, False), "1,200 alerts, of which the newest 50 are shown: --limit 0 shows all"),
        ((5, 3, 2, True), "5 alerts"),
        ((0, 0, 0, False), "0 alerts"),
    ],
)
def test_the_last_line_of_the_list(counts: tuple[int, int, int, bool], told: str) -> None:
    assert list_note(*counts) == told


def test_who_deals_with_it() -> None:
    assert what_line(alert(store_id=""), "en") == "long_wait: waited 12.5 min"
    assert what_line(alert(acknowledged_by="Tal"), "en").endswith(" [Tal]")
    assert what_line(alert(acknowledged_by="Tal", assigned_to="Dan"), "en").endswith(" [Dan]")
    assert what_line(alert(human_resolved_by="Tal", effective_status="resolved"), "en").endswith(" [resolved, Tal]")


def details(changed: dict[str, Any], standing: Standing | None = None) -> dict[str, str]:
    return dict(detail_rows(alert(**changed), standing or Standing(), [], "en"))


def test_the_details_say_what_there_is_and_nothing_else() -> None:
    found = details({})
    assert (found["found"], found["allowed"]) == ("12.5 min", "10 min")
    assert (found["well until"], found["no alert"]) == ("2026-11-21 11:59:00", "had it been quicker")
    assert {"resolved", "taken back", "customers", "in hand", "silenced"}.isdisjoint(found)
    counted = details({"unit": "contacts", "actual": 3.0, "threshold": 1.0, "affected_customers": 12, "limit_at": None})
    assert (counted["found"], counted["allowed"], counted["customers"]) == ("3 contacts", "1 contacts", "12")
    assert "well until" not in counted
    assert details({"withdrawn_because": "late_data"})["taken back"] == "late data"
    in_hand = fold([act(1, "ack"), act(2, "assign", assignee="Dan"), act(3, "resolve", by="Tal")])
    assert details({}, in_hand)["in hand"] == "Noa acknowledged it, assigned to Dan, Tal resolved it"


def test_the_details_name_what_silences_it() -> None:
    silences = list_silences([silence(1, 0, 5, rule="long_wait", store_id="S-1"), silence(2, 0, 9, subject="tills")])
    found = [value for label, value in detail_rows(alert(), Standing(), silences, "en") if label == "silenced"]
    assert found == [
        "rule long_wait, store S-1 until 2026-11-21 12:05:00, by Noa",
        "subject tills until 2026-11-21 12:09:00, by Noa",
    ]


def test_evidence_is_told_by_the_clock_with_the_moments_of_the_rule_between() -> None:
    found = [touchpoint("e2", 5, type="service_started"), touchpoint("e1", -11, properties="")]
    row = alert(opened_at=at(0.0001), resolved_at=at(5), evidence=["store/e1", "store/e2", "web/gone"])
    assert [(line.time, line.what, line.details) for line in evidence_lines(row, found, "en")] == [
        ("Sat 21 Nov 11:49:00.000", "queue_joined", "store S-1"),
        ("           11:59:00.000", "limit", "until now all would have been well"),
        ("           12:00:00.006", "opened", "the rule's condition came true"),
        ("           12:05:00.000", "service_started", "queue tills, store S-1"),
        ("           12:05:00.000", "resolved", "it was over"),
        ("", "not stored yet", ""),
    ]


def test_history_is_told_oldest_first() -> None:
    actions = [act(2, "assign", 1, assignee="Dan", note="yours"), act(1, "ack", 0), act(3, "assign", 2)]
    assert history_lines(actions, "en") == [
        "2026-11-21 12:00:00  Noa acknowledged it",
        "2026-11-21 12:01:00  Noa assigned it to Dan: yours",
        "2026-11-21 12:02:00  Noa assigned it to nobody",
    ]


def test_both_languages_have_the_same_words() -> None:
    assert set(LABELS) == set(DEEDS) == set(LANGUAGES)
    assert LABELS["en"].keys() == LABELS["he"].keys()
    assert all(deeds.keys() == set(ACTIONS) for deeds in (*DEEDS.values(), DONE, DONE_BEFORE))
    head = head_line(alert(), "he").plain
    assert "המתנה ארוכה" in head and f"{uuid(1)}" in drawn(detail_table(alert(), Standing(), [], "he"))


def test_every_value_has_a_hebrew_word() -> None:
    values = [
        value for literal in (EpisodeKind, EpisodeStatus, Severity, WithdrawnBecause) for value in get_args(literal)
    ]
    assert {*filter(None, values)} <= VALUES["he"].keys()


def hebrew(text: str) -> str:
    """The text without what is isolated, its spaces made one."""
    assert text.count(LEFT_TO_RIGHT) == text.count(END_OF_DIRECTION)
    return " ".join(re.sub(f"{LEFT_TO_RIGHT}[^{END_OF_DIRECTION}]*{END_OF_DIRECTION}", "_", text).split())


def test_in_hebrew_nothing_but_names_is_english() -> None:
    row = alert(
        assigned_to="Dan", effective_status="resolved", silenced=True, resolved_at=at(5), affected_customers=3,
        withdrawn_because="late_data", unit="contacts",
    )  # fmt: skip
    assert hebrew(what_line(row, "he")) == "_ ב-_: המתין [נפתרה, מושתקת, _]"
    assert hebrew(head_line(row, "he").plain) == "▲ המתנה ארוכה קריטית · נפתרה · קושי · _"
    assert what_line(row, "he").startswith(f"{LEFT_TO_RIGHT}long_wait{END_OF_DIRECTION} ")
    actions = [act(1, "ack"), act(2, "assign", assignee="Dan"), act(3, "resolve", by="Tal"), act(4, "assign", 1)]
    silences = list_silences([silence(1, 0, 5, rule="long_wait", store_id="S-1")])
    shown = [f"{label} {value}" for label, value in detail_rows(row, fold(actions[:3]), silences, "he")]
    shown += history_lines(actions, "he")
    shown += [f"{line.time} {line.what} {line.details}" for line in evidence_lines(row, [], "he") if line.time]
    shown += [list_note(1, 2, 1, False, "he"), list_note(1, 1, 0, False, "he")]
    assert len(shown) > 20 and not [text for text in shown if re.search("[A-Za-z]", hebrew(text))]
    assert f"מזהה {LEFT_TO_RIGHT}{uuid(1)}{END_OF_DIRECTION}" in shown and "ש׳ 21.11   11:59:00.000 גבול" in " ".join(
        shown
    )
    assert re.search("[A-Za-z]", drawn(make_list([], "he")).replace("UTC", "")) is None


def test_no_name_can_end_its_isolation() -> None:
    assert isolate(f"S-1{END_OF_DIRECTION}\u202e", "he") == f"{LEFT_TO_RIGHT}S-1\\u2069\\u202e{END_OF_DIRECTION}"


def test_a_silent_source_has_no_journey_and_nothing_that_is_allowed() -> None:
    found = details({"kind": "source", "rule": "source_silent", "threshold": 0.0, "journey_id": UUID(int=0)})
    assert {"journey", "allowed"}.isdisjoint(found) and found["found"] == "12.5 min"


def test_the_times_of_a_list_have_one_precision() -> None:
    found = details({"opened_at": at(0.001), "resolved_at": at(1)})
    assert (found["opened"], found["resolved"]) == ("2026-11-21 12:00:00", "2026-11-21 12:01:00")


def test_properties_are_an_object_whatever_is_stored() -> None:
    assert [read_properties(text) for text in ('{"queue": "tills"}', "", "[1]")] == [{"queue": "tills"}, {}, {}]


def test_the_options_offer_what_alerts_may_be() -> None:
    pairs = ((Status, EpisodeStatus), (Grade, Severity), (Kind, EpisodeKind))
    assert all(tuple(options) == get_args(literal) for options, literal in pairs)

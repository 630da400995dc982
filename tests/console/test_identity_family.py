"""Who belongs to whom, and how it is told."""

import io
from typing import Any

import pytest
from rich.console import Console, RenderableType

from console.alert_views import END_OF_DIRECTION, LEFT_TO_RIGHT
from console.cells import json_value
from console.commands.identity import Kind, Status
from console.identity_family import Family, join, standing_acts
from console.identity_names import show_key
from console.identity_views import (
    family_json,
    joint_json,
    joint_lines,
    list_note,
    make_list,
    make_others,
    make_tree,
    show_number,
)
from console.identity_words import QUALITY, RULES, SAID, STATUSES, WORDS
from schemas.identifiers import KINDS
from tests.console.identity_samples import (
    CUSTOMER,
    EMAIL,
    SECOND,
    TABLET,
    decision,
    family,
    sighting,
    statement,
)

CHAIN = (decision(EMAIL), decision("anonymous_id:a-9", EMAIL, event_id="e2"))
EVIL = "device_id:\x1b[2J\u202e"


def drawn(thing: RenderableType, width: int = 300) -> str:
    console = Console(width=width, file=io.StringIO(), record=True)
    console.print(thing)
    return console.export_text()


def told(first: Family, second: Family) -> list[str]:
    return [line.plain for line in joint_lines(first, second, join(first, second), "en")]


def test_the_way_up_ends_at_the_customer() -> None:
    found = family("anonymous_id:a-9", *CHAIN)
    assert found.path("anonymous_id:a-9") == ["anonymous_id:a-9", EMAIL, CUSTOMER]
    assert found.root == CUSTOMER and found.path("device_id:d") == ["device_id:d"]


def test_a_circle_is_walked_once_and_ends_where_it_was_noticed() -> None:
    circle = decision(CUSTOMER, SECOND), decision(SECOND, CUSTOMER)
    assert family(CUSTOMER, *circle).path(CUSTOMER) == [CUSTOMER, SECOND]
    assert list(family(CUSTOMER, *circle).walk()) == [(SECOND, 0), (CUSTOMER, 1)]
    noticed = circle[0], decision(SECOND, CUSTOMER, "loop")
    for asked in (CUSTOMER, SECOND):
        assert list(family(asked, *noticed).walk()) == [(SECOND, 0), (CUSTOMER, 1)]


def test_members_stand_below_their_owners_the_strongest_first() -> None:
    found = family(EMAIL, decision("device_id:d-1"), *CHAIN, decision(SECOND, rule="merged"))
    assert list(found.walk()) == [
        (CUSTOMER, 0), (SECOND, 1), (EMAIL, 1), ("anonymous_id:a-9", 2), ("device_id:d-1", 1),
    ]  # fmt: skip


def test_of_each_pair_the_last_act_counts() -> None:
    undone = statement(EMAIL, CUSTOMER, "unlinked", 1)
    ordered = statement(EMAIL, CUSTOMER, "relinked", 2)
    other = statement(EMAIL, SECOND, "unlinked", 0)
    merged = statement(SECOND, CUSTOMER, "merged", 9)
    assert standing_acts([ordered, other, merged, undone]) == [other, ordered]
    found = family(EMAIL, statements=(ordered, other, undone))
    assert found.last_unlinking(EMAIL) == other


def test_the_tree_marks_what_was_asked_for_and_gives_the_reason_for_each_link() -> None:
    found = family("anonymous_id:a-9", *CHAIN, types={("web", "e2"): "identified"}, touchpoints=12)
    lines = drawn(make_tree(found, "en")).splitlines()
    assert lines[0].rstrip() == "customer C-1  3 identifiers · 12 touchpoints"
    assert lines[1].startswith(
        f"└── {show_key(EMAIL)}  linked · seen together · web/e1 · 2026-11-21 11:00:00 · 1 owner"
    )
    assert lines[2].startswith("    └── ► anonymous_id:a-9  linked · seen together · web/e2 identified · ")


def test_a_customer_without_others_says_so_and_one_without_a_customer_id_is_provisional() -> None:
    text = drawn(make_tree(family(EMAIL, touchpoints=1), "en"))
    assert text.startswith(f"► provisional customer {show_key(EMAIL)}: no customer_id is known  1 identifier · 1 touch")
    assert "No other identifier belongs to it" in text
    assert "--limit 0" in drawn(make_tree(family(EMAIL, is_whole=False), "en"))


SEEN = (sighting(TABLET, CUSTOMER, owners=9, times=3), sighting(TABLET, SECOND, owners=9, minutes=-9))
UNDONE = statement("anonymous_id:a-1", CUSTOMER, "unlinked")


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        (
            family(TABLET, decision(TABLET, status="conflict", customers=2)),
            "it was seen with 2 owners and stays with the earliest, C-1",
        ),
        (family(TABLET, decision(TABLET, "", "flagged", customers=9)), "seen with 9 owners in one window, too many"),
        (family(CUSTOMER, decision(CUSTOMER, SECOND, "loop")), "merge records lead from it to C-2 and back"),
        (family(TABLET, decision(TABLET, "", "unlinked")), "a person took it away from its owner"),
        (
            family("anonymous_id:a-1", decision("anonymous_id:a-1", "", "unlinked"), statements=(UNDONE,)),
            "Noa unlinked it from C-1, 2026-11-21 12:00:00: wrong person; nothing else says whose it is",
        ),
        (
            family(TABLET, decision(TABLET), sightings=SEEN),
            "seen with C-1 (3 times, last 2026-11-21 11:01:00), C-2 (once, last 2026-11-21 11:52:00), and 7 more",
        ),
        (
            family(SECOND, decision(SECOND, rule="merged"), statements=(statement(SECOND, CUSTOMER, "merged"),)),
            "support merged it into C-1, 2026-11-21 12:00:00: wrong person",
        ),
    ],
    ids=lambda each: "" if isinstance(each, Family) else each[:20],
)
def test_each_state_that_needs_it_is_explained_once(found: Family, expected: str) -> None:
    text = drawn(make_tree(found, "en"))
    assert text.count(expected) == 1 and text.count("Noa unlinked") <= 1


def test_what_was_seen_with_it_and_belongs_elsewhere_is_told_apart() -> None:
    found = family(CUSTOMER, others={TABLET: decision(TABLET, "", "flagged", customers=9)}, sightings=SEEN)
    others = make_others(found, "en")
    assert others is not None and "device_id:tablet  flagged" in drawn(others)
    assert "tablet" not in drawn(make_tree(found, "en"))
    assert make_others(family(CUSTOMER), "en") is None


def test_why_two_are_one_is_told_hop_by_hop_up_to_where_their_ways_meet() -> None:
    first, second = family("anonymous_id:a-9", *CHAIN), family(EMAIL, *CHAIN)
    assert told(first, second) == [
        f"anonymous_id:a-9 and {show_key(EMAIL)} are one customer, C-1:",
        f"  anonymous_id:a-9 belongs to {show_key(EMAIL)}: linked · seen together · web/e2 · "
        "2026-11-21 11:00:00 · 1 owner",
    ]
    third = family("device_id:d-1", decision("device_id:d-1"))
    assert [line.split(":")[0] for line in told(first, third)][1:] == [
        "  anonymous_id", "  email", "  device_id",
    ]  # fmt: skip
    assert told(first, first) == ["anonymous_id:a-9 and anonymous_id:a-9 are the same identifier"]


def test_where_nothing_joins_two_it_says_what_keeps_them_apart() -> None:
    undone = statement(EMAIL, SECOND, "unlinked")
    first = family(EMAIL, decision(EMAIL), sightings=(sighting(EMAIL, SECOND, times=2),), statements=(undone,))
    lines = told(first, family(SECOND))
    assert lines[0] == f"Nothing joins {show_key(EMAIL)} and C-2"
    assert lines[1].startswith(f"  {show_key(EMAIL)} belongs to C-1: linked")
    assert "  C-2 is a customer of its own" in lines
    assert f"  {show_key(EMAIL)} was seen with C-2 2 times, last 2026-11-21 11:01:00" in lines
    assert f"  {show_key(EMAIL)}: Noa unlinked it from C-2, 2026-11-21 12:00:00: wrong person" in lines
    flagged = told(family(TABLET, decision(TABLET, "", "flagged", customers=9)), family(SECOND))
    assert flagged[1] == "  device_id:tablet belongs to nobody" and "too many for one person" in flagged[2]
    circle = family(CUSTOMER, decision(CUSTOMER, SECOND, "loop")), family(SECOND, decision(SECOND, CUSTOMER, "loop"))
    assert told(*circle)[1:3] == [
        "  C-1 is a customer of its own",
        "    merge records lead from it to C-2 and back: all of it is with one of them, the first by name",
    ]


def test_programs_get_the_same_with_whole_identifiers() -> None:
    found = json_value(family_json(family("anonymous_id:a-9", *CHAIN, touchpoints=2)))
    assert (found["customer"], found["path"]) == ("C-1", ["anonymous_id:a-9", EMAIL, CUSTOMER])
    assert [(each["identifier"], each["depth"]) for each in found["members"]] == [
        (CUSTOMER, 0), (EMAIL, 1), ("anonymous_id:a-9", 2),
    ]  # fmt: skip
    first, second = family(EMAIL, decision(EMAIL)), family(SECOND)
    apart = joint_json(first, second, join(first, second))
    assert (apart["is_one"], apart["common"], apart["customers"]) == (False, None, ["C-1", "C-2"])
    one = joint_json(first, family(CUSTOMER), join(first, family(CUSTOMER)))
    assert one["is_one"] and one["paths"] == [[EMAIL, CUSTOMER], [CUSTOMER]]
    assert [each["identifier"] for each in one["hops"]] == [EMAIL]


def test_nothing_that_is_shown_moves_a_cursor() -> None:
    wild = statement(EVIL, CUSTOMER, "unlinked", by="\x1b[1m", reason="\u202e")
    found = family(EVIL, decision(EVIL, "", "unlinked", event_id="\x1b"), statements=(wild,))
    texts = [drawn(make_tree(found, language)) for language in WORDS]
    texts.append("\n".join(told(found, family(CUSTOMER))))
    texts.append(drawn(make_list([{**vars(found.decisions[EVIL])}])))
    for text in texts:
        assert "\x1b" not in text and "\u202e" not in text and "\\x1b[2J" in text


def test_among_hebrew_names_keep_their_direction() -> None:
    text = drawn(make_tree(family(EMAIL, *CHAIN), "he"))
    assert f"{LEFT_TO_RIGHT}C-1{END_OF_DIRECTION}" in text and "מקושר" in text


def test_both_languages_have_the_same_words_with_the_same_places() -> None:
    def places(texts: Any) -> dict[str, set[str]]:
        return {name: {part.split("}")[0] for part in text.split("{")[1:]} for name, text in texts.items()}

    for words in (WORDS, SAID, RULES):
        assert places(words["en"]) == places(words["he"])
    assert set(STATUSES["he"]) == set(Status)


def test_the_options_are_what_there_is() -> None:
    assert tuple(Kind) == KINDS


def test_the_list_shows_a_line_for_each_and_counts_the_rest() -> None:
    rows = [vars(decision(TABLET, "", "flagged", customers=9, event_id="", rule="", linked_at=None))]
    line = drawn(make_list(rows)).splitlines()[3]
    assert line.split() == ["device_id:tablet", "flagged", "-", "9", "2026-11-21", "11:01:00"]
    assert list_note(1, 1) == "1 identifier" and "latest 2 are shown" in list_note(2, 5)


@pytest.mark.parametrize(
    ("name", "value", "shown"),
    [
        ("stitch_rate", 0.5, "50.0 %"),
        ("provisional_share", None, "-"),
        ("median_seconds_to_merge", 90.0, "1.5 min"),
        ("mean_hops", 1.3333, "1.33"),
        ("touchpoints", 12_345, "12,345"),
    ],
)
def test_numbers_are_shown_in_their_units(name: str, value: Any, shown: str) -> None:
    assert name in QUALITY and show_number(name, value) == shown

import json
from io import StringIO

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from console.letter_filters import Status, make_filters
from console.letter_replay import Tally
from console.letter_views import (
    list_note,
    make_list,
    record_of,
    row_of,
    show_bytes,
    show_record,
    status_words,
    tally_line,
    to_json,
)
from schemas.dead_letter import LetterId
from schemas.errors import Misconfigured
from tests.console.letter_samples import ARRIVED_AT, letter

HOSTILE = b'{"\x1b]0;own\x07\r\xe2\x80\xae\xd7\xa9": "\xff\x9b\xc2\x9b\x00"}'


@pytest.mark.parametrize(
    ("raw", "shown"),
    [
        (b"hello", "hello"),
        ("שלום\u200f".encode(), r"שלום\u200f"),
        (HOSTILE, r'{"\x1b]0;own\x07\r\u202eש": "\xff\x9b\x9b\x00"}'),
        (b"\xed\xa0\x80", r"\xed\xa0\x80"),
    ],
)
def test_bytes_are_shown_so_that_no_terminal_acts_on_them(raw: bytes, shown: str) -> None:
    assert show_bytes(raw) == shown


@given(st.binary(max_size=40))
def test_whatever_came_is_shown_in_one_printable_line(raw: bytes) -> None:
    hostile = letter(raw, key=raw, headers={raw.decode("latin-1"): raw}, detail=raw.decode("latin-1"))
    assert show_bytes(raw).isprintable() and all(line.isprintable() for line in show_record(raw))
    assert len(show_bytes(raw, 10)) <= 10 and show_bytes(raw, 10).isprintable()
    assert all(str(cell).isprintable() for cell in row_of(hostile))
    told = to_json(record_of(hostile))
    assert told.isprintable() and json.loads(told)["raw_bytes"] == len(raw)
    console = Console(width=200, record=True, file=StringIO())
    console.print(make_list([hostile]))
    assert console.export_text().replace("\n", "").isprintable()


@given(st.text())
def test_json_reads_back_as_it_was(text: str) -> None:
    assert json.loads(to_json({"text": text})) == {"text": text}


def test_what_is_no_utf8_is_base64_in_json() -> None:
    assert record_of(letter(b"\xff"))["raw"] is None and record_of(letter(b"\xff"))["raw_base64"] == "/w=="
    assert record_of(letter("ש".encode()))["raw"] == "ש"


@pytest.mark.parametrize(
    ("raw", "lines"),
    [
        (b'{"a":1.50,"a":[1e999]}', ["{", '  "a": 1.50,', '  "a": [', "    1e999", "  ]", "}"]),
        (b'{"a":\n\x1b', ['{"a":', r"\x1b"]),
        (b"", [""]),
    ],
)
def test_json_is_shown_with_one_value_a_line_and_nothing_changed(raw: bytes, lines: list[str]) -> None:
    assert show_record(raw) == lines


def test_what_became_of_a_letter_in_words() -> None:
    assert status_words(letter()) == "open"
    assert status_words(letter(status="refused_again", attempt=2)) == "refused again, attempt 2"
    assert status_words(letter(status="replayed")) == "replayed"
    assert status_words(letter(status="replayed", refused_again_as="t-0-9")) == "replayed, refused again as t-0-9"


def test_notes_say_how_to_see_the_rest() -> None:
    assert list_note(1, {"open": 1}, 0) == "1 dead letter"
    assert list_note(50, {"open": 1_200, "refused_again": 1}, 7) == (
        "1,201 dead letters, of which the newest 50 are shown: --limit 0 shows all; "
        "replayed and not shown: 7 (--status all)"
    )
    assert tally_line(Tally(), False) == "0 sent again"
    assert tally_line(Tally(3, 2, 1, 4, 5), True) == (
        "3 would be sent again, 2 still refused, 1 left out by the mapping, 4 not delivered, "
        "5 held back as they were replayed before (--again sends them)"
    )


def test_filters_become_a_condition() -> None:
    assert make_filters(ARRIVED_AT).condition() == (
        "status IN %(status)s",
        {"status": ("open", "refused_again")},
    )
    filters = make_filters(
        ARRIVED_AT, reasons=["naive_time"], topics=["facts"], status=[Status.REFUSED_AGAIN], key="k", contains="x",
        since="2h", until="2026-11-21T09:00:00Z",
    )  # fmt: skip
    condition, asked = filters.condition()
    assert [part.split(" ")[0] for part in condition.split(" AND ")[:3]] == ["reason", "topic", "status"]
    assert asked == {
        "reason": ("naive_time",), "topic": ("facts",), "status": ("refused_again",), "key": "k", "contains": "x",
        "since": "2026-11-21T08:00:00.123Z", "until": "2026-11-21T09:00:00.000Z",
    }  # fmt: skip
    assert all(f"%({name})s" in condition for name in asked)
    assert make_filters(ARRIVED_AT, status=[Status.ALL, Status.OPEN]).condition() == ("1", {})


def test_letters_that_are_named_are_meant_whatever_their_status() -> None:
    named = make_filters(ARRIVED_AT, ids=["touchpoints-rekeyed-3-7", " facts-0-1", "facts-0-1"])
    assert named.ids == (LetterId("touchpoints-rekeyed", 3, 7), LetterId("facts", 0, 1)) and named.statuses == ()
    for text in (
        "touchpoints-3",
        "touchpoints-3--7",
        "-3-7",
        "touch points-3-7",
        "touchpoints-3-٧",
        "touchpoints-3-7\n-1",
    ):
        with pytest.raises(Misconfigured, match="is no id of a dead letter"):
            make_filters(ARRIVED_AT, ids=[text])
    with pytest.raises(Misconfigured, match="there is no reason 'naive': did you mean naive_time"):
        make_filters(ARRIVED_AT, reasons=["naive"])
    with pytest.raises(
        Misconfigured, match=r"^there is no topic 'fact': did you mean facts\? known are touchpoints, .*"
    ):
        make_filters(ARRIVED_AT, topics=["touchpoints", "fact"])
    with pytest.raises(Misconfigured, match=r"^there is no topic 'nonsense': known are touchpoints, .*, dead-letters$"):
        make_filters(ARRIVED_AT, topics=["nonsense"])

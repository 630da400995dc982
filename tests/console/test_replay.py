"""What `journeys replay` says at the end: how much, why rows were rejected, and what to do about it."""

import json
from pathlib import Path

from console.commands.replay import SHOWN_REASONS, advise, describe, describe_reasons
from producers.client import Client
from producers.emitters import MemoryEmitter
from producers.replay import RejectedRows, ReplaySummary, replay_file

FILE = Path("day.ndjson")
GOOD = {
    "event_id": "1",
    "source": "web",
    "type": "visited",
    "occurred_at": "2026-01-01T00:00:00Z",
    "identifiers": {"customer_id": "C-1"},
}


def replay(path: Path, content: str) -> ReplaySummary:
    path.write_text(content, "utf-8")
    with Client(MemoryEmitter()) as client:
        return replay_file(path, client)


def test_reasons_are_counted_and_add_up_the_commonest_first_with_the_place_of_the_first(tmp_path: Path) -> None:
    lines = [GOOD, {**GOOD, "source": "fax"}, {**GOOD, "identifiers": {}}, {**GOOD, "source": "telex"}]
    path = tmp_path / "day.ndjson"
    summary = replay(path, "".join(json.dumps(line) + "\n" for line in lines))
    assert [(each.reason, each.count, each.first_line) for each in summary.reasons] == [
        ("unknown_source", 2, 2),
        ("no_identifier", 1, 3),
    ]
    assert sum(each.count for each in summary.reasons) == summary.rejected == 3
    first, second = describe_reasons(path, summary.reasons)
    assert first.split(maxsplit=1)[0] == "2" and f"unknown_source: first {path}:2: source: " in first
    assert second.split(maxsplit=1)[0] == "1" and f"no_identifier: first {path}:3: " in second
    assert advise(summary.reasons) == []
    assert f"1 delivered in {summary.seconds:.1f} s" in describe(path, summary)


def test_the_rarest_of_many_reasons_are_one_line() -> None:
    count = SHOWN_REASONS + 2
    reasons = [RejectedRows(f"reason_{number}", 1_000 * (count - number), 1, "x") for number in range(count)]
    *shown, last = describe_reasons(FILE, reasons)
    assert len(shown) == SHOWN_REASONS and shown[0].split()[0] == "7,000"
    assert last.split() == ["3,000", "for", "2", "other", "reasons"]


def test_what_a_row_says_cannot_move_the_cursor() -> None:
    [line] = describe_reasons(FILE, [RejectedRows("invalid_field", 1, 1, "type: \x1b[2Jnot\nso")])
    assert line.isprintable()


def test_objects_over_several_lines_come_with_advice(tmp_path: Path) -> None:
    summary = replay(tmp_path / "pretty.ndjson", json.dumps(GOOD, indent=2))
    [advice] = advise(summary.reasons)
    assert summary.delivered == 0 and "one object a line is expected" in advice and "jq -c" in advice

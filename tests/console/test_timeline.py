import io
from datetime import UTC, datetime

from rich.console import Console

from console.timeline import Happening, Mark, describe_details, make_lines, make_timeline, plain_lines


def at(hour: int, minute: int = 0, day: int = 21) -> datetime:
    return datetime(2026, 11, day, hour, minute, tzinfo=UTC)


JOURNEY = [
    Happening(at(12), "store", "queue_joined", {"store_id": "S-7"}, {"queue": "till"}),
    Happening(at(10), "web", "order_placed", {"order_id": "O-1"}, {"amount": 9.5, "note": None}),
    Happening(at(9, day=22), "support", "evil\x1b[2J", {}, {"text": "a\u202eb"}),
]
SURPRISED = Mark(at(12), "unexpected_gift", "info", "resolved", "a small surprise", "delight")
WAITED = Mark(at(12), "long_wait", "warning", "resolved", "waited 12 min")


def test_lines_are_in_the_order_of_time_and_an_alert_follows_its_touchpoint() -> None:
    lines = make_lines(JOURNEY, [WAITED])
    assert [(line.source, line.what) for line in lines] == [
        ("web", "order_placed"),
        ("store", "queue_joined"),
        ("ALERT", "long_wait"),
        ("support", "evil\\x1b[2J"),
    ]
    assert [line.time for line in lines] == [
        "Sat 21 Nov 10:00:00", "           12:00:00", "           12:00:00", "Sun 22 Nov 09:00:00",
    ]  # fmt: skip
    assert lines[2].details == "waited 12 min [resolved]" and lines[2].style


def test_a_good_moment_looks_like_one() -> None:
    [line] = make_lines([], [SURPRISED])
    assert (line.icon, line.source, line.what, line.details, line.style) == (
        "♥", "DELIGHT", "unexpected_gift", "a small surprise", "green",
    )  # fmt: skip


def test_details_are_properties_first_and_few() -> None:
    details = describe_details({"order_id": "O-1", "channel": ""}, {"amount": 9.5, "note": None, "ok": True, "x": [1]})
    assert details == ["amount 9.5", "ok true", "x [1]", "order O-1"]
    assert len(describe_details({"order_id": "O"}, dict.fromkeys("abcdef", 1))) == 4


def test_plain_lines_have_no_control_codes() -> None:
    assert all(line.isprintable() for line in plain_lines(make_lines(JOURNEY, [WAITED])))


def test_a_timeline_fits_a_narrow_terminal() -> None:
    long = Mark(at(13), "long_wait", "critical", "open", "waited very long " * 20)
    console = Console(width=80, record=True, file=io.StringIO())
    console.print(make_timeline(make_lines(JOURNEY, [long])))
    text = console.export_text()
    assert max(map(len, text.splitlines())) <= 80 and text.count("very long") + text.count("very") >= 20

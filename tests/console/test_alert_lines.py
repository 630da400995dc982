import pytest

from console.alert_lines import AlertBook, alert_line, parse_alert, style_alert
from schemas.episode import Episode


def make_episode(**changed: object) -> Episode:
    words = {"en": "waited 12 min", "he": "ממתין"}
    fields = {
        "episode_id": "e-1", "version": 1, "rule": "long_wait", "rule_version": 1, "severity": "warning",
        "status": "open", "customer_id": "C-1", "journey_id": "j", "subject": "till", "store_id": "S-1",
        "opened_at": "2026-11-21T10:00:00.000Z", "last_seen_at": "2026-11-21T10:00:00.000Z", "resolved_at": None,
        "threshold": 600.0, "actual": 720.0, "unit": "seconds", "title": words, "reason": words, "advice": words,
        "evidence": ("store/1",), "detected_at": "2026-11-21T10:00:00.000Z",
    }  # fmt: skip
    return Episode.model_validate({**fields, **changed})


def test_a_line_says_when_what_who_and_why() -> None:
    assert alert_line(make_episode()) == "10:00:00  warning   long_wait  C-1: waited 12 min"
    assert alert_line(make_episode(status="resolved")).endswith("waited 12 min [resolved]")
    assert "ממתין" in alert_line(make_episode(), "he")


def test_what_is_over_is_not_coloured() -> None:
    assert str(style_alert(make_episode(severity="critical")).style) == "bold red"
    assert str(style_alert(make_episode(severity="critical", status="resolved")).style) == "dim"


def test_a_name_cannot_move_the_cursor() -> None:
    assert alert_line(make_episode(customer_id="C\x1b[2J")).isprintable()
    assert style_alert(make_episode(customer_id="C\x1b[2J")).plain.isprintable()


def test_records_are_read_and_what_is_none_is_told() -> None:
    assert parse_alert(make_episode().model_dump_json().encode()) == make_episode()
    assert parse_alert(None) is None
    with pytest.raises(ValueError, match=r"^a record of friction-alerts is no episode: [^\n]*$"):
        parse_alert(b"{}")


def test_the_book_keeps_the_newest_state_of_each_episode() -> None:
    book = AlertBook()
    assert book.add(make_episode(version=2, status="resolved"))
    assert not book.add(make_episode(version=1))
    assert not book.add(make_episode(version=2))
    assert book.add(make_episode(episode_id="e-2", rule="broken_promise"))
    assert book.add(make_episode(version=3))
    assert [(each.episode_id, each.version) for each in book.latest(5)] == [("e-1", 3), ("e-2", 1)]
    assert book.latest(0) == []
    assert book.by_rule() == {"broken_promise": 1, "long_wait": 1}
    book.add(make_episode(version=4, status="withdrawn"))
    assert book.by_rule() == {"broken_promise": 1}

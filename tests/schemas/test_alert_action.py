from datetime import UTC, datetime
from typing import Any

import pytest
from pydantic import ValidationError

from schemas.alert_action import AlertAction

ID = "0a1b2c3d-0000-4000-8000-00000000000f"
ACK: dict[str, Any] = {
    "action_id": ID,
    "episode_id": ID,
    "action": "ack",
    "by": "Noa",
    "acted_at": "2026-11-21T10:00:00Z",
}
SILENCE = {**ACK, "action": "silence", "episode_id": None, "rule": "long_wait", "until": "2026-11-21T10:00:00.001Z"}


@pytest.mark.parametrize("fields", [ACK, SILENCE, {**SILENCE, "action": "unsilence", "until": None}])
def test_an_action_is_read_as_it_was_written(fields: dict[str, Any]) -> None:
    action = AlertAction.model_validate(fields)
    assert AlertAction.model_validate_json(action.model_dump_json()) == action
    assert action.model_dump(mode="json")["acted_at"] == "2026-11-21T10:00:00.000Z"


def test_times_are_moments_and_texts_have_no_outer_blanks() -> None:
    action = AlertAction.model_validate({**SILENCE, "by": " Noa\n", "note": " a\nb "})
    assert action.until == datetime(2026, 11, 21, 10, 0, 0, 1000, tzinfo=UTC)
    assert (action.by, action.note, action.matchers) == ("Noa", "a\nb", ("long_wait", "", "", ""))


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({**ACK, "by": "  "}, "at least 1 character"),
        ({**ACK, "action": "explode"}, "Input should be 'ack'"),
        ({**ACK, "action_id": "x"}, "match pattern"),
        ({**ACK, "episode_id": None}, "ack is about one episode"),
        ({**ACK, "rule": "long_wait"}, "matches no others"),
        ({**ACK, "action": "note"}, "a note has a text"),
        ({**ACK, "until": "2026-11-22T10:00:00Z"}, "a silence has an end, and nothing else has"),
        ({**ACK, "acted_at": "2026-11-21T10:00:00"}, "time has no zone"),
        ({**SILENCE, "rule": ""}, "must name an episode or something that alerts have in common"),
        ({**SILENCE, "until": None}, "a silence has an end"),
        ({**SILENCE, "until": "2026-11-21T10:00:00Z"}, "ends after it began"),
        ({**ACK, "note": "x" * 4097}, "at most 4096"),
    ],
)
def test_what_no_action_can_be(fields: dict[str, Any], told: str) -> None:
    with pytest.raises(ValidationError, match=told):
        AlertAction.model_validate(fields)

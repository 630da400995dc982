import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from console.alert_desk import Outcome, carry_out, make_action, outcomes_json, plan, written_rules
from producers.emitters import Emitted, MemoryEmitter
from schemas.alert_action import AlertAction
from schemas.errors import Misconfigured, Transient
from sinks.tables import ALERT_ACTIONS
from sinks.writer import MemoryWriter
from tests.console.alert_samples import NOW, act, silence, uuid

Said = list[bool | None]


def run(outcomes: Sequence[Outcome], writer: MemoryWriter, emitter: MemoryEmitter) -> Said:
    said: Said = []
    carry_out(outcomes, writer, lambda: emitter, lambda _, published: said.append(published))
    return said


def written(writer: MemoryWriter) -> list[str]:
    return [row["action_id"] for row in writer.rows(ALERT_ACTIONS)]


def keys(emitter: MemoryEmitter) -> list[str]:
    return [record.key.decode() for record in emitter.records]


def test_what_is_new_is_written_and_all_of_it_is_sent() -> None:
    other = act(3, "ack", 5, episode_id=uuid(2))
    nothing = act(4, "unack", 5, episode_id=uuid(3))
    outcomes = plan([act(1, "ack")], [act(2, "ack", 5), other, nothing])
    assert [each.is_new for each in outcomes] == [False, True, False]
    writer, emitter = MemoryWriter(), MemoryEmitter()
    assert run(outcomes, writer, emitter) == [None, True]
    assert written(writer) == [uuid(3)]
    assert keys(emitter) == [uuid(1), uuid(3)]
    assert AlertAction.model_validate_json(emitter.records[1].value) == other


def test_a_row_says_what_the_action_does() -> None:
    writer = MemoryWriter()
    run(
        plan([], [silence(1, 0, 60, rule="long_wait", store_id="S-1"), act(2, "assign", assignee="Dan")]),
        writer,
        MemoryEmitter(),
    )
    muted, given = writer.rows(ALERT_ACTIONS)
    now_ms = int(NOW.timestamp() * 1000)
    assert muted == {
        "action_id": uuid(1), "episode": "", "action": "silence", "by": "Noa", "note": "", "assignee": "",
        "rule": "long_wait", "customer_id": "", "store_id": "S-1", "subject": "",
        "until_ms": now_ms + 3_600_000, "acted_at_ms": now_ms,
    }  # fmt: skip
    assert (given["episode"], given["assignee"], given["until_ms"]) == (uuid(1), "Dan", 0)


def test_nothing_is_said_or_sent_before_it_is_written() -> None:
    writer, emitter = MemoryWriter(), MemoryEmitter()
    writer.fail_next(Transient("ClickHouse is away"))
    said: Said = []
    with pytest.raises(Transient, match="^ClickHouse is away$"):
        carry_out(plan([], [act(1, "ack")]), writer, lambda: emitter, lambda _, published: said.append(published))
    assert said == [] and emitter.records == []


@pytest.mark.parametrize("when", ["connecting", "sending"])
def test_when_only_the_sending_fails_that_is_what_is_said(when: str) -> None:
    writer = MemoryWriter()
    said: Said = []

    def open_emitter() -> MemoryEmitter:
        if when == "connecting":
            raise Transient("the broker is away")
        return MemoryEmitter(lambda _: "the broker is away")

    with pytest.raises(Transient, match=r"written to ClickHouse and holds, .*alert-actions.*: the broker is away: run"):
        carry_out(plan([], [act(1, "ack")]), writer, open_emitter, lambda _, published: said.append(published))
    assert written(writer) == [uuid(1)] and said == [None, False]


def test_a_broker_that_refuses_one_of_several_is_not_called_done() -> None:
    def refuse(record: Emitted) -> str | None:
        return "too large" if record.key == uuid(2).encode() else None

    with pytest.raises(Transient, match="too large"):
        run(plan([], [act(1, "ack"), act(2, "ack", episode_id=uuid(2))]), MemoryWriter(), MemoryEmitter(refuse))


def test_nothing_to_undo_needs_no_broker() -> None:
    def fail() -> MemoryEmitter:
        raise AssertionError("a broker was asked for")

    carry_out(plan([], [act(1, "unack")]), MemoryWriter(), fail, lambda *_: None)


@pytest.mark.parametrize(
    ("former", "wanted", "line"),
    [
        ([], act(2, "ack"), "acknowledged"),
        ([act(1, "ack")], act(2, "ack", 1), "already acknowledged by Noa, 2026-11-21 12:00:00 UTC"),
        ([], act(2, "unack"), "there is nothing to take back"),
        ([], act(2, "assign", assignee="Dan"), "assigned to Dan"),
        ([act(1, "assign", assignee="Dan")], act(2, "assign", 1), "assigned to nobody"),
        (
            [act(1, "assign", assignee="Dan")],
            act(2, "assign", 1, assignee="Dan", by="Tal"),
            "already assigned to Dan by Noa, 2026-11-21 12:00:00 UTC",
        ),
        (
            [act(1, "ack"), act(2, "unack")],
            act(3, "unack", 1),
            "the acknowledgement was already taken back by Noa, 2026-11-21 12:00:00 UTC",
        ),
        ([act(1, "reopen")], act(2, "reopen", 1), "already opened again by Noa, 2026-11-21 12:00:00 UTC"),
    ],
)
def test_a_line_says_what_came_of_it(former: list[AlertAction], wanted: AlertAction, line: str) -> None:
    assert plan(former, [wanted])[0].line() == f"{uuid(1)}: {line}"


def test_a_line_of_a_silence_says_what_and_until_when() -> None:
    outcome = plan([], [silence(1, 0, 60, rule="long_wait")])[0]
    line = "rule long_wait: silenced until 2026-11-21 13:00:00 UTC"
    assert outcome.line() == line
    counted = [replace(outcome, open_alerts=count) for count in (0, 1, 1_200)]
    assert [each.line().removeprefix(line) for each in counted] == [
        ", hides 0 open alerts", ", hides 1 open alert", ", hides 1,200 open alerts",
    ]  # fmt: skip
    assert json.loads(outcomes_json(counted[1:2], True))["actions"][0]["open_alerts"] == 1
    ended = plan([silence(1, 0, 60, rule="r"), silence(2, 1, None, rule="r")], [silence(3, 2, None, rule="r")])
    assert ended[0].line() == "rule r: the silence was already ended by Noa, 2026-11-21 12:01:00 UTC"


def test_json_holds_what_stands() -> None:
    outcomes = plan([act(1, "ack")], [act(2, "ack", 1), act(3, "unack", episode_id=uuid(9))])
    found = json.loads(outcomes_json(outcomes, True))
    assert found["published"] and [(each["new"], each["action_id"]) for each in found["actions"]] == [(False, uuid(1))]


def test_what_no_action_can_say_is_one_line_that_names_the_option() -> None:
    with pytest.raises(Misconfigured, match="^--by must not be empty$"):
        make_action("ack", " ", NOW, episode_id=uuid(1))
    with pytest.raises(Misconfigured, match="^--to must not be longer than 256 characters$"):
        make_action("assign", "Noa", NOW, episode_id=uuid(1), assignee="x" * 257)
    with pytest.raises(Misconfigured, match="^--customer is no text in UTF-8$"):
        make_action("silence", "Noa", NOW, until=NOW, customer_id="\udcff")
    with pytest.raises(Misconfigured, match="^a note has a text$"):
        make_action("note", "Noa", NOW, episode_id=uuid(1), note="")


def test_the_shipped_rules_are_known_though_one_of_ones_own_is_broken(tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text("id: 7\n", "utf-8")
    known, fault = written_rules(tmp_path)
    assert (known, "") == written_rules(None) and "long_wait" in known
    assert "mine.yaml:1: id: " in fault

"""Sending letters again, with a broker in memory."""

import json
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any

import pytest

from console.letter_replay import Door, Run, Tally, Verdict, hold_back
from console.letter_store import Letter, Replay
from producers.emitters import Emitted, MemoryEmitter
from producers.letter_edits import Editor, parse_edits
from schemas.dead_letter import LetterId
from schemas.errors import Terminal, Transient
from schemas.identifiers import Pseudonymiser
from schemas.settings import Settings
from schemas.topics import FACTS, REPLAY_HEADER, TOUCHPOINTS_REKEYED
from tests.console.letter_samples import NOW, body, letter

HIDING = Pseudonymiser(b"0123456789abcdef0123456789abcdef", "k1", "IL")


@dataclass
class Office:
    """A door to a broker in memory, and what was recorded and told."""

    refuse: Callable[[Emitted], str | None] = lambda record: None
    edits: str = ""
    pseudonymiser: Pseudonymiser | None = None
    is_dry: bool = False
    history: bool = False
    recorded: list[tuple[Letter, Replay]] = field(default_factory=list)
    told: list[Verdict] = field(default_factory=list)
    tally: Tally = field(default_factory=Tally)

    def __post_init__(self) -> None:
        self.touchpoints, self.facts = MemoryEmitter(self.refuse), MemoryEmitter(self.refuse)
        self.door = Door(
            Settings(),
            self.pseudonymiser,
            None if self.is_dry else (self.touchpoints, self.facts),
            editor=Editor(parse_edits(self.edits, "m.yaml")) if self.edits else None,
            history=self.history,
        )

    def replay(self, *letters: Letter, batch: int = 10) -> list[Emitted]:
        """Everything that was sent to either topic."""
        run = Run(self.door, self.recorded.extend, self.told.append, "dana", "m.yaml")
        batches = [letters[start : start + batch] for start in range(0, len(letters), batch)]
        assert list(run.replay(batches, self.tally)) == [len(each) for each in batches]
        return self.touchpoints.records + self.facts.records

    def verdict(self, raw: bytes, **changed: Any) -> str:
        self.told.clear()
        self.replay(letter(raw, **changed))
        return self.told[0].line(self.is_dry)


def test_what_had_been_sent_on_may_be_of_any_age() -> None:
    old = body(occurred_at="2001-01-01T00:00:00Z")
    assert "too_old" in Office().verdict(old)
    office = Office()
    (sent,) = office.replay(letter(old, id=LetterId(TOUCHPOINTS_REKEYED, 1, 2)))
    assert (REPLAY_HEADER, b"1") in sent.headers and office.tally.sent == 1


def test_a_letter_goes_out_whole_marked_and_as_of_its_arrival() -> None:
    office = Office()
    (sent,) = office.replay(letter(body(), headers={"trace": b"t", "journeys-replay-of": b"forged"}))
    assert (sent.key, sent.headers) == (
        b"customer_id:C-1",
        (("trace", b"t"), ("journeys-replay-of", b"touchpoints-1-2"), ("journeys-replay-attempt", b"1")),
    )
    assert json.loads(sent.value) == {**json.loads(body()), "received_at": "2026-11-21T10:00:00.123Z"}
    ((recorded, replay),) = office.recorded
    assert (recorded.head.id, office.tally.sent) == (LetterId("touchpoints", 1, 2), 1)
    assert replace(replay, replayed_at=NOW) == Replay(
        1, "dana", "touchpoints", "customer_id:C-1", "web", "e-1", "m.yaml", NOW
    )


def test_a_stated_arrival_is_kept() -> None:
    (sent,) = Office().replay(letter(body(received_at="2026-01-01T00:00:00Z")))
    assert json.loads(sent.value)["received_at"] == "2026-01-01T00:00:00Z"


def test_attempts_are_counted_over_replays_and_their_refusals() -> None:
    (sent,) = Office().replay(letter(body(), attempt=2, replays=3))
    assert dict(sent.headers)["journeys-replay-attempt"] == b"6"


def test_what_was_history_stays_history_and_what_is_too_old_is_not_sent() -> None:
    old = body(occurred_at=NOW - timedelta(days=900))
    assert "still refused: too_old" in Office().verdict(old)
    for office, headers in ((Office(), {"journeys-replay": b"1"}), (Office(history=True), {})):
        (sent,) = office.replay(letter(old, headers=headers))
        assert dict(sent.headers)["journeys-replay"] == b"1"


def test_a_fact_goes_to_facts_whatever_topic_it_came_by() -> None:
    fact = body(type="restocked", properties={"sku": "K-1"}, identifiers=None)
    for topic in ("facts", "touchpoints"):
        office = Office()
        (sent,) = office.replay(letter(fact, id=LetterId(topic, 0, 1)))
        assert sent.key == b"restocked:K-1" and office.recorded[0][1].to_topic == FACTS
    assert "invalid_field: identifiers: a fact concerns" in Office().verdict(body(), id=LetterId(FACTS, 0, 1))


@pytest.mark.parametrize(
    ("raw", "told"),
    [
        (b"", "still refused: empty_record: it has no value"),
        (b"{", "still refused: invalid_json"),
        (b"\xff", "still refused: invalid_utf8"),
        (b"[]", "still refused: not_an_object"),
        (body(schema_version=2), "still refused: unknown_version"),
        (body(event_id=None), "still refused: missing_field: event_id"),
        (body(properties={"note": "x" * 300_000}), "still refused: too_large"),
        (
            body(identifiers={"email": "a@b.example"}),
            "still refused: invalid_identifier: identifiers.email is personal",
        ),
        (body(), "sent to touchpoints under customer_id:C-1, event_id e-1"),
    ],
)
def test_what_would_be_refused_again_is_not_sent(raw: bytes, told: str) -> None:
    office = Office()
    assert told in office.verdict(raw)
    assert (
        len(office.recorded) == len(office.touchpoints.records) == office.tally.sent == 1 - office.tally.still_refused
    )


def test_bytes_that_were_not_kept_whole_are_not_sent() -> None:
    assert "only" in Office().verdict(body(), raw_bytes=10_000)


def test_personal_identifiers_are_hidden() -> None:
    office = Office(pseudonymiser=HIDING)
    (sent,) = office.replay(letter(body(identifiers={"email": "Dana@b.example"})))
    assert b"b.example" not in sent.value + sent.key and "b.example" not in str(office.recorded[0][1])


def test_a_dry_run_says_what_would_be_and_sends_nothing() -> None:
    office = Office(is_dry=True)
    assert office.verdict(body()) == (
        "touchpoints-1-2: would be sent to touchpoints under customer_id:C-1, event_id e-1"
    )
    assert office.touchpoints.records == []


def test_edits_mend_and_leave_out() -> None:
    office = Office(edits="values: {source: {shop: store, junk: null}}")
    office.replay(letter(body(source="shop")), letter(body(source="junk")), letter(body(source="fax")))
    assert (office.tally.sent, office.tally.left_out, office.tally.reasons) == (1, 1, {"unknown_source": 1})
    assert json.loads(office.touchpoints.records[0].value)["source"] == "store"


def test_what_kafka_does_not_take_is_told_and_not_recorded() -> None:
    office = Office(refuse=lambda record: "too big" if b"e-2" in record.value else None)
    office.replay(letter(body()), letter(body(event_id="e-2"), id=LetterId("t", 0, 9)))
    assert [each.head.id for each, _ in office.recorded] == [LetterId("touchpoints", 1, 2)]
    assert (office.tally.sent, office.tally.undelivered) == (1, 1) and not office.tally.is_clean
    assert office.told[-1].line(False) == "t-0-9: not delivered: Kafka did not take it: too big"


def test_a_broker_that_takes_nothing_ends_the_run() -> None:
    office = Office(refuse=lambda record: "down")
    with pytest.raises(Transient, match="were not delivered"):
        office.replay(letter(body()), letter(body()), batch=1)
    assert len(office.told) == 2 and office.tally.undelivered == 1


def test_what_was_delivered_before_a_stop_is_recorded() -> None:
    office = Office()

    def stop(verdict: Verdict) -> None:
        raise KeyboardInterrupt

    run = Run(office.door, office.recorded.extend, stop, "dana")
    with pytest.raises(KeyboardInterrupt):
        list(run.replay([[letter(body()), letter(body(event_id="e-2"))]], office.tally))
    assert len(office.recorded) == len(office.touchpoints.records) == 1


def test_what_cannot_be_recorded_ends_the_run() -> None:
    def fail(delivered: list[tuple[Letter, Replay]]) -> None:
        raise Terminal("read-only")

    office = Office()
    with pytest.raises(Terminal, match="read-only"):
        list(Run(office.door, fail, office.told.append, "dana").replay([[letter(body())]] * 2, office.tally))
    assert len(office.touchpoints.records) == 1


def test_only_open_letters_are_sent_without_a_second_word() -> None:
    heads = [letter(status=status).head for status in ("open", "replayed", "refused_again")]
    assert hold_back(heads, again=False) == (heads[:1], heads[1:])
    assert hold_back(heads, again=True) == (heads, [])

"""The checker finds what is lost, doubled, altered or foreign, wherever that is; and the ledger outlives its writer."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from tests.faults.checker import Findings, Record, Seen, check, find_disorder, row_of
from tests.faults.ledger import Entry, Event, Ledger, generate, hash_value, read_ledger

EVENTS = generate(seed=3, count=300)


def is_refused(event: Event) -> bool:
    return b'"moon"' in (event.record.value or b"")


def is_too_large(event: Event) -> bool:
    return len(event.record.value or b"") > 20_000


TAKEN = [event for event in EVENTS if not is_refused(event) and not is_too_large(event)]
REFUSED = [event for event in EVENTS if is_refused(event)]


def record_of(event: Event) -> Record:
    return Record(event.record.key or b"", event.record.value or b"")


def whole() -> tuple[dict[str, Entry], Seen]:
    """A ledger and what there is to see when nothing went wrong."""
    ledger = {
        event.id: Entry(
            event.id,
            (event.record.key or b"").decode(),
            hash_value(event.record.value or b""),
            "failed" if is_too_large(event) else "ok",
        )
        for event in EVENTS
    }
    records = [record_of(event) for event in EVENTS if not is_too_large(event)]
    rows = [row_of(record_of(event)) for event in TAKEN]
    return ledger, Seen(records, rows, [hash_value(event.record.value or b"") for event in REFUSED])


def test_nothing_wrong_is_nothing_found() -> None:
    findings = check(*whole())
    assert findings.is_clean, findings
    assert findings.counts["failed"] and findings.counts["letters"] and findings.counts["ok"] > 200


def test_order_does_not_matter() -> None:
    ledger, seen = whole()
    backwards = Seen(seen.records[::-1], seen.rows[::-1], seen.letters[::-1])
    assert check(ledger, backwards).checksums == check(ledger, seen).checksums
    assert check(ledger, backwards).is_clean


def test_of_a_key_what_comes_first_must_come_in_the_order_of_sending() -> None:
    ledger, seen = whole()
    assert not find_disorder(ledger, seen.records)
    # Again, from anywhere on, is no disorder, and neither is another order of keys.
    assert not find_disorder(ledger, seen.records + seen.records[100:])
    assert not find_disorder(ledger, sorted(seen.records, key=lambda record: record.key))
    early, late = [record for record in seen.records if record.key == seen.records[0].key][2:4]
    places = seen.records.index(early), seen.records.index(late)
    seen.records[places[0]], seen.records[places[1]] = late, early
    early_id, late_id = (json.loads(record.value)["event_id"] for record in (early, late))
    assert find_disorder(ledger, seen.records) == [f"{early_id} behind {late_id}"]


def lose(seen: Seen) -> None:
    seen.rows.pop()


def lose_letter(seen: Seen) -> None:
    seen.letters.pop()


def lose_record(seen: Seen) -> None:
    # It is lost from the topic alone; the row is then of nothing that is there.
    seen.records.remove(record_of(TAKEN[0]))
    seen.rows.remove(row_of(record_of(TAKEN[0])))


def double(seen: Seen) -> None:
    seen.rows.append(seen.rows[0])


def double_letter(seen: Seen) -> None:
    seen.letters.append(seen.letters[0])


def alter_row(seen: Seen) -> None:
    seen.rows[0] = seen.rows[0]._replace(properties="{}")


def alter_record(seen: Seen) -> None:
    place = seen.records.index(record_of(TAKEN[0]))
    altered = json.dumps({**json.loads(seen.records[place].value), "type": "searched"}).encode()
    seen.records[place] = seen.records[place]._replace(value=altered)


def swap_customers(seen: Seen) -> None:
    first, second = seen.rows[:2]
    seen.rows[:2] = [first._replace(customer="C-other"), second]


def add_row(seen: Seen) -> None:
    seen.rows.append(seen.rows[0]._replace(event_id="of nobody"))


def add_letter(seen: Seen) -> None:
    seen.letters.append(hash_value(b"never sent"))


def add_record(seen: Seen) -> None:
    seen.records.append(Record(b"customer_id:C-1", b'{"event_id": "of nobody", "source": "moon"}'))


def send_what_failed(seen: Seen) -> None:
    seen.records.append(record_of(next(event for event in EVENTS if is_too_large(event))))


PLANTED: list[tuple[Callable[[Seen], None], str]] = [
    (lose, "lost"), (lose_letter, "lost"), (lose_record, "lost"),
    (double, "doubled"), (double_letter, "doubled"),
    (alter_row, "altered"), (alter_record, "altered"), (swap_customers, "altered"),
    (add_row, "foreign"), (add_letter, "foreign"), (add_record, "foreign"), (send_what_failed, "foreign"),
]  # fmt: skip


@pytest.mark.parametrize(("plant", "kind"), PLANTED, ids=[plant.__name__ for plant, _ in PLANTED])
def test_what_is_planted_is_found(plant: Callable[[Seen], None], kind: str) -> None:
    ledger, seen = whole()
    plant(seen)
    findings = check(ledger, seen)
    assert getattr(findings, kind) and not findings.is_clean
    assert getattr(findings, kind)[0] in str(findings)


def test_the_unknown_may_be_there_or_not_but_not_twice() -> None:
    ledger, seen = whole()
    for event in TAKEN[:10]:
        ledger[event.id] = replace(ledger[event.id], outcome="unknown")
    assert check(ledger, seen).is_clean
    gone = TAKEN[0]
    absent = Seen(
        [record for record in seen.records if record != record_of(gone)],
        [row for row in seen.rows if row.event_id != gone.id],
        seen.letters,
    )
    findings = check(ledger, absent)
    assert findings.is_clean and findings.counts["unknown_present"] == 9
    seen.rows.append(row_of(record_of(TAKEN[1])))
    assert check(ledger, seen).doubled == [f"{TAKEN[1].id} in ClickHouse"]


def test_a_checksum_alone_does_not_pass() -> None:
    assert not Findings(checksums={"topic": 1, "clickhouse": 2}).is_clean


def test_a_ledger_tells_what_was_announced_and_what_came_of_it(tmp_path: Path) -> None:
    with Ledger(tmp_path / "ledger") as ledger:
        ledger.announce(EVENTS[:3])
        ledger.settle(EVENTS[0].id, "ok")
        ledger.settle(EVENTS[1].id, "failed")
        assert {entry.outcome for entry in read_ledger(ledger.path).values()} == {"unknown"}
        ledger.flush()
        outcomes = [read_ledger(ledger.path)[event.id].outcome for event in EVENTS[:3]]
        assert outcomes == ["ok", "failed", "unknown"]
    with (tmp_path / "ledger").open("ab") as torn:
        torn.write(b'{"id": "half')
    assert len(read_ledger(tmp_path / "ledger")) == 3


def test_a_seed_gives_the_same_again() -> None:
    assert generate(seed=3, count=300) == EVENTS != generate(seed=4, count=300)

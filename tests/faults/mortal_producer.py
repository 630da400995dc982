"""Run by tests in a process of its own, to be killed on the way: it sends events through a spool and notes its answers.

An event is `ok` once the client has promised that it will be sent, whatever becomes of this process, or of the machine
as far as `fsync` says: when `track` returned, or with `interval` when `flush` did.
"""

from __future__ import annotations

import json
import random
import signal
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from producers.client import Client
from producers.spool import KafkaReach, Spool
from producers.spool_drain import Timing
from schemas.errors import Transient, Undecodable
from schemas.settings import SpoolFsync
from tests.faults.ledger import MOST_BYTES, Entry, Event, Ledger, Outcome, generate, read_ledger
from tests.integration.harness import Feed

TIMING = Timing(answer_seconds=1.0, longest_backoff_seconds=0.5)
SPOOL_BYTES = 1 << 19
"""So little that there are several segments."""
MOST_AT_ONCE = 20
ANSWER_SECONDS = 0.2
DRAIN_SECONDS = 60.0
RETRY_SECONDS = 0.05


@dataclass(frozen=True)
class Errand:
    """What to do: have `until` of the `count` events of a seed sent, and then wait to be killed.

    One that `ends` leaves an empty spool instead. What the process before it left unknown is sent again if
    `sends_again`, and else never.
    """

    ledger: str
    spool: str
    kafka: dict[str, Any]
    seed: int
    count: int
    until: int
    fsync: SpoolFsync = "interval"
    pause_seconds: float = 0.0
    sends_again: bool = True
    ends: bool = False


def wire_events(seed: int, count: int) -> list[Event]:
    """The events of `generate` in the very bytes that a client is to make of them."""
    return [Event(event.id, _on_the_wire(event.record)) for event in generate(seed, count)]


def _on_the_wire(record: Feed) -> Feed:
    body = json.loads(record.value or b"")
    body["received_at"] = body["occurred_at"]
    return Feed(record.key, json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode())


def first_to_send(entries: Sequence[Entry], *, sends_again: bool) -> int:
    """The number of the event to go on with: behind the last that was announced, or whose fate is known."""
    number = len(entries)
    while sends_again and number and entries[number - 1].outcome == "unknown":
        number -= 1
    return number


def run(errand: Errand) -> None:
    ledger_path = Path(errand.ledger)
    ledger_path.touch()
    known = [*read_ledger(ledger_path).values()]
    first = first_to_send(known, sends_again=errand.sends_again)
    events = wire_events(errand.seed, errand.count)[first : errand.until]
    reach = KafkaReach(lambda: {**errand.kafka, "bootstrap_timeout_ms": 1_000})
    spool = Spool(Path(errand.spool), reach, limit_bytes=SPOOL_BYTES, fsync=errand.fsync, say=print, timing=TIMING)
    with Client.through(spool, max_bytes=MOST_BYTES) as client, Ledger(ledger_path) as ledger:
        for part in _parts(events, random.Random(first)):
            _send(client, ledger, part, errand)
        if not errand.ends:
            signal.pause()
        assert client.drain(DRAIN_SECONDS), client.spool
        assert not client.flush().undelivered


def _parts(events: Sequence[Event], chosen: random.Random) -> Iterator[Sequence[Event]]:
    at = 0
    while at < len(events):
        many = chosen.randint(1, MOST_AT_ONCE)
        yield events[at : at + many]
        at += many


def _send(client: Client, ledger: Ledger, events: Sequence[Event], errand: Errand) -> None:
    taken = []
    for event in events:
        ledger.announce([event])
        outcome = _track(client, event)
        if outcome == "ok" and errand.fsync == "interval":
            taken.append(event)
        else:
            ledger.settle(event.id, outcome)
        time.sleep(errand.pause_seconds)
    if errand.fsync == "interval":
        report = client.flush(ANSWER_SECONDS)
        assert report.delivered + report.spooled == len(taken) and not report.undelivered, report
        for event in taken:
            ledger.settle(event.id, "ok")
    ledger.flush()


def _track(client: Client, event: Event) -> Outcome:
    """Have the client take it, as soon as the spool has room."""
    while True:
        try:
            client.emit(json.loads(event.record.value or b""))
            return "ok"
        except Undecodable:
            return "failed"
        except Transient as error:
            print(error, flush=True)
            time.sleep(RETRY_SECONDS)


if __name__ == "__main__":
    run(Errand(**json.loads(sys.argv[1])))

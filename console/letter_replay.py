"""Sending dead letters again: through the checks of `producers.client`, marked by headers, recorded once delivered."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from console.alert_desk import read_clock
from console.letter_filters import OPEN
from console.letter_store import Head, Letter, Replay
from producers.client import Client, not_delivered
from producers.deliveries import Report, Undelivered
from producers.emitters import Answered, Emitter, Headers
from producers.letter_edits import Editor
from producers.mapped_rows import Rejected, Skipped
from producers.replay import HEADERS as HISTORY
from producers.time_bounds import TimeBounds
from schemas.errors import Misconfigured, Undecodable
from schemas.fact import check_fact
from schemas.identifiers import Pseudonymiser
from schemas.moments import format_epoch_ms, to_epoch_ms
from schemas.settings import Settings
from schemas.topics import (
    FACTS,
    REPLAY_ATTEMPT_HEADER,
    REPLAY_HEADER,
    REPLAY_OF_HEADER,
    TOUCHPOINTS,
    TOUCHPOINTS_REKEYED,
)
from schemas.touchpoint import READ_VERSIONS
from schemas.wire import parse_object

BATCH_LETTERS = 200
UNDELIVERED = "undelivered"
OUR_HEADERS = (REPLAY_HEADER, REPLAY_OF_HEADER, REPLAY_ATTEMPT_HEADER)


@dataclass(frozen=True)
class Verdict:
    """What becomes of one letter: `sent` where it passes the checks, else why it does not, in a code and a line."""

    head: Head
    sent: Replay | None = None
    reason: str = ""
    detail: str = ""

    def line(self, is_dry: bool) -> str:
        """One line for a person."""
        if self.reason == UNDELIVERED:
            return f"{self.head.id}: not delivered: {self.detail}"
        if self.sent is None:
            return f"{self.head.id}: still refused: {self.reason}: {self.detail}"
        done = "would be sent" if is_dry else "sent"
        return f"{self.head.id}: {done} to {self.sent.to_topic} under {self.sent.to_key}, event_id {self.sent.event_id}"


class _Witness:
    """An emitter that remembers where the last record went; without another behind it, nothing is sent."""

    def __init__(self, emitter: Emitter | None, topic: str, sent: list[tuple[str, str]]) -> None:
        self._emitter = emitter
        self._topic = topic
        self._sent = sent

    def send(self, key: bytes, value: bytes, headers: Headers, answered: Answered) -> None:
        if self._emitter is None:
            answered(None)
        else:
            self._emitter.send(key, value, headers, answered)
        self._sent[:] = [(self._topic, key.decode("utf-8", "backslashreplace"))]

    def flush(self, timeout_seconds: float) -> None:
        if self._emitter is not None:
            self._emitter.flush(timeout_seconds)

    def close(self, timeout_seconds: float) -> None:
        if self._emitter is not None:
            self._emitter.close(timeout_seconds)


class Door:
    """The checks that anything passes which `producers.client` sends; behind them is Kafka or, for a dry run, nothing.

    `emitters`: for touchpoints and for facts. What a letter's headers, or `history`, say is history may be of any age.
    """

    def __init__(
        self,
        settings: Settings,
        pseudonymiser: Pseudonymiser | None,
        emitters: tuple[Emitter, Emitter] | None,
        *,
        editor: Editor | None = None,
        history: bool = False,
        versions: frozenset[int] = READ_VERSIONS,
    ) -> None:
        touchpoints, facts = emitters or (None, None)
        self._sent: list[tuple[str, str]] = []
        witnesses = _Witness(touchpoints, TOUCHPOINTS, self._sent), _Witness(facts, FACTS, self._sent)
        self._clients = {
            is_history: Client(
                witnesses[0],
                pseudonymiser,
                facts=witnesses[1],
                max_bytes=settings.max_touchpoint_bytes,
                time_bounds=TimeBounds.of(settings, history=is_history),
                versions=versions,
            )
            for is_history in (False, True)
        }
        self._editor = editor
        self._history = history

    def pass_on(self, letter: Letter, by: str, mapping: str, now: datetime) -> Verdict | None:
        """Check and send one letter; None where the edits leave it out. Raises `Transient` as `Client.emit` does."""
        head = letter.head
        try:
            found = self._read(letter)
            # What was sent on from one customer to another had been let in already, and may be of any age.
            is_sent_on = head.id.topic == TOUCHPOINTS_REKEYED
            is_history = self._history or is_sent_on or REPLAY_HEADER in letter.headers
            attempt = head.attempt + head.replays + 1
            event_id = self._clients[is_history].replay(found, _headers(letter, attempt, is_history))
        except Skipped:
            return None
        except (Undecodable, Rejected) as error:
            return Verdict(head, reason=error.reason, detail=error.detail)
        except Misconfigured as error:
            # A personal identifier and no key: the other letters may have none.
            return Verdict(head, reason="invalid_identifier", detail=str(error))
        topic, key = self._sent[0]
        return Verdict(head, Replay(attempt, by, topic, key, found["source"], event_id, mapping, now))

    def _read(self, letter: Letter) -> dict[str, Any]:
        raw, head = letter.raw, letter.head
        if not raw:
            raise Undecodable("empty_record", "it has no value, so there is nothing to send again")
        if len(raw) < head.raw_bytes:
            raise Undecodable("too_large", f"only {len(raw)} of its {head.raw_bytes} bytes were kept")
        found = parse_object(raw if self._editor is None else self._editor.decode(raw))
        if self._editor is not None:
            found = self._editor.edit(found, str(head.id))
        if found.get("received_at") is None:
            # It is not received now: a sender's clock is corrected by when the record came first.
            found["received_at"] = format_epoch_ms(to_epoch_ms(head.arrived_at))
        if head.id.topic == FACTS:
            check_fact(found)
        return found

    def settle(self) -> list[Undelivered]:
        """Wait for the answers to all that was sent, and return what Kafka did not take."""
        return [failure for client in self._clients.values() for failure in client.flush().undelivered]

    def close(self) -> None:
        """Let go of the connection."""
        for client in self._clients.values():
            client.close()


def _headers(letter: Letter, attempt: int, is_history: bool) -> Headers:
    kept = tuple((name, value) for name, value in letter.headers.items() if name not in OUR_HEADERS)
    said = (
        (REPLAY_OF_HEADER, str(letter.head.id).encode()),
        (REPLAY_ATTEMPT_HEADER, str(attempt).encode()),
    )
    return (*kept, *(HISTORY if is_history else ()), *said)


@dataclass
class Tally:
    """What became of the letters so far. `held_back`: those that were sent or refused before, without `--again`."""

    sent: int = 0
    still_refused: int = 0
    left_out: int = 0
    undelivered: int = 0
    held_back: int = 0
    reasons: dict[str, int] = field(default_factory=dict)

    @property
    def is_clean(self) -> bool:
        """Whether all that was to be sent could be."""
        return not self.still_refused and not self.undelivered

    def count(self, verdict: Verdict | None) -> None:
        """Count one letter; what is sent counts when it is delivered."""
        if verdict is None:
            self.left_out += 1
        elif verdict.sent is None:
            self.still_refused += 1
            self.reasons[verdict.reason] = self.reasons.get(verdict.reason, 0) + 1


def hold_back(heads: Iterable[Head], again: bool) -> tuple[list[Head], list[Head]]:
    """The letters to send, and those that need `--again`: they are replays themselves, or have been sent again."""
    found = list(heads)
    if again:
        return found, []
    return [head for head in found if head.status == OPEN], [head for head in found if head.status != OPEN]


Record = Callable[[list[tuple[Letter, Replay]]], None]


@dataclass(frozen=True)
class Run:
    """One replay. `record` is given what Kafka has acknowledged; `tell` each verdict."""

    door: Door
    record: Record
    tell: Callable[[Verdict], object]
    by: str
    mapping: str = ""

    def replay(self, batches: Iterable[Sequence[Letter]], tally: Tally) -> Iterator[int]:
        """Send letters batch by batch, yielding how many each had.

        At least once: a letter is recorded after Kafka has it, and one that is not recorded is sent again by the next
        run, under the same event id. Raises `Transient` when Kafka takes nothing of a batch, or when it is down.
        """
        for batch in batches:
            with self._settled(tally) as sent:
                for letter in batch:
                    verdict = self.door.pass_on(letter, self.by, self.mapping, read_clock())
                    if verdict is not None and verdict.sent is not None:
                        sent.append((letter, verdict.sent))
                    tally.count(verdict)
                    if verdict is not None:
                        self.tell(verdict)
            yield len(batch)

    @contextmanager
    def _settled(self, tally: Tally) -> Iterator[list[tuple[Letter, Replay]]]:
        """Record what was delivered, also when a batch is cut short."""
        sent: list[tuple[Letter, Replay]] = []
        try:
            yield sent
        finally:
            failures = {failure.event_id: failure for failure in self.door.settle()}
            delivered = [(letter, replay) for letter, replay in sent if replay.event_id not in failures]
            tally.sent += len(delivered)
            tally.undelivered += len(sent) - len(delivered)
            self.record(delivered)
        for letter, replay in sent:
            if replay.event_id in failures:
                reason = f"Kafka did not take it: {failures[replay.event_id].reason}"
                self.tell(Verdict(letter.head, reason=UNDELIVERED, detail=reason))
        if failures and not delivered:
            raise not_delivered(Report(0, list(failures.values())))

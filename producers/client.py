"""The client library: `Client(...).track("order_placed", source="web", …)` and `.state("restocked", …)`."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Any
from uuid import UUID

from producers.deliveries import Deliveries, Report
from producers.emitters import Emitter, Headers, KafkaEmitter
from producers.spool import DEFAULT_BYTES, KafkaReach, Spool, SpoolStatus
from producers.time_bounds import TimeBounds
from schemas.errors import Misconfigured, Transient, Undecodable
from schemas.fact import check_fact, encode_fact, fact_key, is_fact
from schemas.identifiers import PERSONAL_KINDS, Pseudonymiser, record_key, strongest
from schemas.moments import format_epoch_ms
from schemas.settings import SpoolFsync
from schemas.topics import FACTS, TOUCHPOINTS
from schemas.touchpoint import READ_VERSIONS
from schemas.wire import check_touchpoint, encode_touchpoint

_Record = tuple[Emitter, bytes, bytes, str]
"""Where it goes, key, value, event id."""
LIMIT_BYTES = 32 * 1024 * 1024
MAX_BYTES = 262_144
"""Largest touchpoint in bytes that a worker accepts unless it is told otherwise."""


class Client:
    """Sends touchpoints to Kafka: checked, keyed by their strongest identifier, personal identifiers hidden.

    Facts, which concern no single customer, go to a topic of their own by `facts`; all else here holds for them too.
    Delivery is at least once: what `flush` reports as delivered was acknowledged by all in-sync replicas; what it
    reports as undelivered may be sent again under the same `event_id` without counting twice. Records of one customer
    keep their order. A touchpoint has at most `max_bytes`, which is what workers accept, and with `time_bounds` a time
    that they accept. At most `limit_bytes` wait for the broker; beyond that a call blocks up to `block_seconds` and
    then raises `Transient`. Thread-safe. As a context manager it flushes on the way out and raises `Transient` if
    something stayed undelivered that no report has named.

    With a spool, what the broker does not take lies on this machine's disk and is reported as spooled; nothing blocks
    for long while the broker is away, and `Transient` means that the spool is full or its disk fails.
    """

    def __init__(
        self,
        emitter: Emitter,
        pseudonymiser: Pseudonymiser | None = None,
        *,
        facts: Emitter | None = None,
        limit_bytes: int = LIMIT_BYTES,
        block_seconds: float = 30.0,
        flush_seconds: float = 30.0,
        max_bytes: int = MAX_BYTES,
        time_bounds: TimeBounds | None = None,
        spool: Spool | None = None,
        versions: frozenset[int] = READ_VERSIONS,
    ) -> None:
        self._emitter = emitter
        self._spool = spool
        self._facts = facts
        self._pseudonymiser = pseudonymiser
        self._deliveries = Deliveries(limit_bytes, block_seconds)
        self._flush_seconds = flush_seconds
        self._max_bytes = max_bytes
        self._time_bounds = time_bounds
        self._versions = versions

    @classmethod
    def connect(
        cls,
        options: Mapping[str, Any],
        pseudonymiser: Pseudonymiser | None = None,
        *,
        spool_directory: Path | None = None,
        spool_bytes: int = DEFAULT_BYTES,
        spool_fsync: SpoolFsync = "interval",
        **bounds: Any,
    ) -> Client:
        """A client for the Kafka servers that kafka-python's `options` name. Raises as `KafkaEmitter` does.

        With a `spool_directory` it starts, and takes records, without a server as well (`producers.spool.Spool`), and
        raises as `Spool` does.
        """
        if spool_directory is None:
            emitter = KafkaEmitter(options)
            return cls(emitter, pseudonymiser, facts=emitter.to(FACTS), **bounds)
        spool = Spool(spool_directory, KafkaReach(lambda: options), limit_bytes=spool_bytes, fsync=spool_fsync)
        return cls.through(spool, pseudonymiser, **bounds)

    @classmethod
    def through(cls, spool: Spool, pseudonymiser: Pseudonymiser | None = None, **bounds: Any) -> Client:
        """A client that takes what the spool takes. Closing it closes the spool."""
        # While the broker answers, a sender that is faster waits for it, and does not fill the spool.
        bounds = {"limit_bytes": min(LIMIT_BYTES, spool.limit_bytes // 8), **bounds}
        return cls(spool.to(TOUCHPOINTS), pseudonymiser, facts=spool.to(FACTS), spool=spool, **bounds)

    @property
    def spool(self) -> SpoolStatus | None:
        """What lies in the spool now; None for a client without one."""
        return None if self._spool is None else self._spool.status()

    def track(
        self,
        type: str,
        *,
        source: str,
        identifiers: Mapping[str, str],
        occurred_at: datetime | None = None,
        event_id: str | None = None,
        properties: Mapping[str, Any] | None = None,
        order_id: str | None = None,
        case_id: str | None = None,
        store_id: str | None = None,
        agent_id: str | None = None,
        channel: str | None = None,
    ) -> str:
        """Send one touchpoint that happened at `occurred_at` (with zone; default now). Returns its `event_id`.

        Returning means checked and on its way, not delivered: `flush` tells; with a spool it also means on disk.
        Raises `Undecodable` with one line that names the field at fault, `Misconfigured` for an e-mail or phone without
        a key to hide it, and `Transient` when the broker, or the spool, takes no more.
        """
        now_ms = _now_ms()
        touchpoint = {
            "event_id": new_event_id(now_ms) if event_id is None else event_id,
            "source": source,
            "type": type,
            "occurred_at": format_epoch_ms(now_ms) if occurred_at is None else occurred_at,
            "identifiers": identifiers,
            "order_id": order_id,
            "case_id": case_id,
            "store_id": store_id,
            "agent_id": agent_id,
            "channel": channel,
            "properties": dict(properties or {}),
            "received_at": format_epoch_ms(now_ms),
        }
        return self._send(touchpoint, ())

    def state(
        self,
        type: str,
        *,
        source: str,
        properties: Mapping[str, Any] | None = None,
        occurred_at: datetime | None = None,
        event_id: str | None = None,
        store_id: str | None = None,
        channel: str | None = None,
    ) -> str:
        """State a fact that is so since `occurred_at` (with zone; default now). Returns and raises as `track` does.

        `type` is one of the catalogue's facts, such as `restocked` or `source_heartbeat`.
        """
        now_ms = _now_ms()
        fact = {
            "event_id": new_event_id(now_ms) if event_id is None else event_id,
            "source": source,
            "type": type,
            "occurred_at": format_epoch_ms(now_ms) if occurred_at is None else occurred_at,
            "store_id": store_id,
            "channel": channel,
            "properties": dict(properties or {}),
            "received_at": format_epoch_ms(now_ms),
        }
        return self._send_record(*self._fact_record(fact), ())

    def emit(self, touchpoint: Mapping[str, Any], headers: Headers = ()) -> str:
        """Send a whole touchpoint, or a fact; `received_at` is set if absent. Returns and raises as `track` does.

        A fact is what has a type of fact and no identifiers.
        """
        if touchpoint.get("received_at") is None:
            touchpoint = {**touchpoint, "received_at": format_epoch_ms(_now_ms())}
        return self._send(touchpoint, headers)

    def replay(self, touchpoint: Mapping[str, Any], headers: Headers) -> str:
        """Send a touchpoint or fact of the past as it stands: no `received_at`, since it did not come by this door."""
        return self._send(touchpoint, headers)

    def flush(self, timeout_seconds: float | None = None) -> Report:
        """Wait for the broker's answers, and report on everything sent since the last report.

        With a spool, what has no answer by then is reported as spooled, and what other threads are sending meanwhile
        in a later report; raises `Transient` if the disk failed to make it durable.
        """
        seconds = self._flush_seconds if timeout_seconds is None else timeout_seconds
        deadline = time.monotonic() + seconds
        for emitter in self._emitters():
            emitter.flush(max(0.0, deadline - time.monotonic()))
        if self._spool is not None:
            # The spool has answered for all that it had; what it has now came while it did.
            return self._deliveries.report(None)
        self._deliveries.wait(max(0.0, deadline - time.monotonic()))
        return self._deliveries.report(f"not confirmed within {seconds:g} s; it may still arrive")

    def drain(self, patience_seconds: float | None = None) -> bool:
        """Wait until the spool is empty, or the broker took nothing for so long; returns whether it is empty.

        By default as long as a flush, and not at all while the broker is away. True without a spool.
        """
        if self._spool is None:
            return True
        patience = self._flush_seconds if self._spool.status().fault is None else 0.0
        return self._spool.drain(patience if patience_seconds is None else patience_seconds)

    def close(self, timeout_seconds: float | None = None) -> Report:
        """Flush, then let go of the connection."""
        try:
            report = self.flush(timeout_seconds)
        except BaseException:
            self._close_emitters(0.0)
            raise
        self._close_emitters(0.0 if report.undelivered else self._flush_seconds)
        return report

    def __enter__(self) -> Client:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        report = self.close()
        if report.undelivered and kind is None:
            raise not_delivered(report)

    def _close_emitters(self, timeout_seconds: float) -> None:
        for emitter in self._emitters():
            emitter.close(timeout_seconds)

    def _emitters(self) -> list[Emitter]:
        return [self._emitter] if self._facts is None else [self._emitter, self._facts]

    def _send(self, found: Mapping[str, Any], headers: Headers) -> str:
        record = self._fact_record(found) if is_fact(found) else self._touchpoint_record(found)
        return self._send_record(*record, headers)

    def _send_record(self, emitter: Emitter, key: bytes, value: bytes, event_id: str, headers: Headers) -> str:
        if len(value) > self._max_bytes:
            raise Undecodable("too_large", f"{len(value)} bytes, and at most {self._max_bytes} are accepted")
        ticket = self._deliveries.reserve(event_id, len(value))
        try:
            emitter.send(key, value, headers, lambda reason: self._deliveries.answer(ticket, reason))
        except BaseException:
            self._deliveries.cancel(ticket)
            raise
        return event_id

    def _touchpoint_record(self, touchpoint: Mapping[str, Any]) -> _Record:
        checked = check_touchpoint(touchpoint, self._versions)
        if self._time_bounds is not None:
            self._time_bounds.check(checked, _now_ms())
        identifiers = self._hide(checked.identifiers)
        value = encode_touchpoint({**touchpoint, "identifiers": identifiers})
        return self._emitter, record_key(*strongest(identifiers)).encode(), value, checked.event_id

    def _fact_record(self, fact: Mapping[str, Any]) -> _Record:
        checked = check_fact(fact)
        if self._time_bounds is not None:
            self._time_bounds.check(checked, _now_ms())
        if self._facts is None:
            raise Misconfigured(f"{checked.type} is a fact, and this client was given no emitter for facts")
        return self._facts, fact_key(checked), encode_fact(fact), checked.event_id

    def _hide(self, identifiers: Mapping[str, str]) -> Mapping[str, str]:
        personal = PERSONAL_KINDS & identifiers.keys()
        if not personal:
            return identifiers
        if self._pseudonymiser is None:
            raise Misconfigured(
                f"identifiers.{min(personal)} is personal and there is no key to hide it with: "
                "set JOURNEYS_IDENTIFIER_KEY, or leave it out"
            )
        try:
            return self._pseudonymiser.hide_all(identifiers)
        except ValueError as error:
            raise Undecodable("invalid_identifier", str(error)) from error


def new_event_id(now_ms: int) -> str:
    """A UUIDv7: sorts by time, and is unique without asking anyone."""
    random = int.from_bytes(os.urandom(10), "big")
    bits = (now_ms & (1 << 48) - 1) << 80 | 0x7 << 76 | (random >> 68) << 64 | 0b10 << 62 | random & (1 << 62) - 1
    return str(UUID(int=bits))


def not_delivered(report: Report) -> Transient:
    """The error that says so, with the first of them."""
    count, first = len(report.undelivered), report.undelivered[0]
    total = count + report.delivered + report.spooled
    return Transient(f"{count} of {total} touchpoints were not delivered; first {first.event_id}: {first.reason}")


def _now_ms() -> int:
    return time.time_ns() // 1_000_000

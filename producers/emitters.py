"""Where a producer's records go: a Kafka topic, or memory. Both keep one contract (`Emitter`)."""

from __future__ import annotations

import copy
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Protocol

from kafka import KafkaProducer
from kafka.errors import KafkaError, MessageSizeTooLargeError, RecordListTooLargeError
from kafka.partitioner import Partitioner

from producers.servers import find_fault
from schemas.errors import Misconfigured, Transient
from schemas.partitioning import partition_of
from schemas.topics import TOUCHPOINTS

Headers = tuple[tuple[str, bytes], ...]
Answered = Callable[[str | None], None]
"""Called once per record, from any thread: None when the broker acknowledged it, otherwise why it did not."""


class Refused(str):
    """An answer: the broker will never take this very record, whenever it is sent."""


class Spooled(str):
    """An answer: not delivered yet, but kept on this machine's disk, from where it is sent later."""


class Emitter(Protocol):
    """Takes records and answers for each.

    `send` may block while metadata is missing; it raises `Transient` when it could not take the record, and then never
    calls `answered`. Otherwise `answered` is called exactly once, possibly before `send` returns. `flush` waits up to
    `timeout_seconds` for the answers of everything sent before; it promises nothing. `close` gives up what is
    unanswered within `timeout_seconds`, and may be called twice.
    """

    def send(self, key: bytes, value: bytes, headers: Headers, answered: Answered) -> None: ...

    def flush(self, timeout_seconds: float) -> None: ...

    def close(self, timeout_seconds: float) -> None: ...


class KeyPartitioner(Partitioner):  # type: ignore[misc]
    """Murmur2 of the key as every Kafka client computes it, remembered: customers come again."""

    def partition(self, topic: str, key: Any, serialized_key: bytes, value: Any, raw: bytes, cluster: Any) -> int:
        return _partition_of(serialized_key, len(cluster.partitions_for_topic(topic)))


GIVE_UP_SECONDS = 5.0
_TOO_LARGE = (MessageSizeTooLargeError, RecordListTooLargeError)
_partition_of = lru_cache(maxsize=65_536)(partition_of)


class KafkaEmitter:
    """Sends to one topic, idempotently and acknowledged by all replicas; the key alone decides the partition.

    `options` are kafka-python's (`bootstrap_servers`, SASL, TLS, also timings such as `delivery_timeout_ms`). Raises
    `Misconfigured` for options that do not fit together and `Transient` when no server answers: within seconds when it
    is certain that none will (`producers.servers`), otherwise after `bootstrap_timeout_ms`.
    """

    def __init__(self, options: Mapping[str, Any], topic: str = TOUCHPOINTS) -> None:
        self._topic = topic
        self._closed = False
        fixed = {
            "acks": "all",
            "enable_idempotence": True,
            "allow_auto_create_topics": False,
            "partitioner": KeyPartitioner(),
        }
        tuned = {"linger_ms": 5, "batch_size": 131_072, "max_block_ms": 10_000, "metrics_enabled": False}
        fault = find_fault(options)
        if fault is not None:
            # The producer still judges its options, and then does not wait for a server.
            fixed["bootstrap_timeout_ms"] = 1
        try:
            self._producer = KafkaProducer(**{**tuned, **options, **fixed})
        except (KafkaError, ValueError, TypeError, OSError) as error:
            raise _cannot_start(options, error, fault) from error

    def to(self, topic: str) -> KafkaEmitter:
        """An emitter to another topic over the same connection, which ends when either of them is closed."""
        other = copy.copy(self)
        other._topic = topic
        return other

    def send(self, key: bytes, value: bytes, headers: Headers, answered: Answered) -> None:
        try:
            future = self._producer.send(self._topic, value, key, list(headers))
        except _TOO_LARGE as error:
            answered(Refused(explain(error)))
            return
        except KafkaError as error:
            raise Transient(f"topic {self._topic} takes no records: {explain(error)}") from error
        future.add_callback(lambda _: answered(None))
        future.add_errback(lambda error: answered(_judge(error)))

    def flush(self, timeout_seconds: float) -> None:
        try:
            self._producer.flush(timeout_seconds)
        except KafkaError:
            return

    def close(self, timeout_seconds: float) -> None:
        if not self._closed:
            self._closed = True
            try:
                self._producer.close(timeout_seconds)
            except KafkaError:
                # It lets go only once everything is answered.
                self._producer._sender.force_close()
                self._producer.close(GIVE_UP_SECONDS)


@dataclass(frozen=True)
class Emitted:
    """One record that a `MemoryEmitter` took."""

    key: bytes
    value: bytes
    headers: Headers


class MemoryEmitter:
    """Keeps records in a list, for dry runs and tests; `refuse` says why one is not taken, or None."""

    def __init__(self, refuse: Callable[[Emitted], str | None] = lambda _: None) -> None:
        self.records: list[Emitted] = []
        self._refuse = refuse
        self._lock = threading.Lock()
        self._closed = False

    def send(self, key: bytes, value: bytes, headers: Headers, answered: Answered) -> None:
        if self._closed:
            raise Transient("memory takes no records: closed")
        record = Emitted(key, value, headers)
        reason = self._refuse(record)
        if reason is None:
            with self._lock:
                self.records.append(record)
        answered(reason)

    def flush(self, timeout_seconds: float) -> None:
        """Nothing is ever on its way."""

    def close(self, timeout_seconds: float) -> None:
        self._closed = True


def explain(error: BaseException) -> str:
    """One line for a person: what kind of failure, and what the server or library said."""
    said = " ".join(str(error).split())
    name = type(error).__name__
    return said if said.startswith(name) else f"{name}: {said}".removesuffix(": ")


def _judge(error: BaseException) -> str:
    # A batch that is too large is split before this is said of a record.
    return Refused(explain(error)) if isinstance(error, _TOO_LARGE) else explain(error)


def no_answer(options: Mapping[str, Any], reason: str) -> Transient:
    """The error that says that no server of kafka-python's `options` answers, and why."""
    servers = name_servers(options)
    return Transient(
        f"no Kafka server answers at {servers}: is it up, and is the address (JOURNEYS_KAFKA) right? ({reason})"
    )


def name_servers(options: Mapping[str, Any]) -> str:
    """The servers of kafka-python's `options` as `host:port,…`."""
    servers = options.get("bootstrap_servers", "localhost:9092")
    return servers if isinstance(servers, str) else ",".join(servers)


def _cannot_start(options: Mapping[str, Any], error: Exception, fault: str | None) -> Misconfigured | Transient:
    if type(error).__name__ in ("NoBrokersAvailable", "KafkaTimeoutError", "KafkaConnectionError"):
        return no_answer(options, fault or explain(error))
    return Misconfigured(f"cannot use Kafka at {name_servers(options)}: {explain(error)}")

"""A population of open customers in one partition, brought there the way the worker does: decode, process, gather."""

from __future__ import annotations

import random
import re
import time
from collections.abc import Iterator, Sequence
from itertools import islice
from typing import NamedTuple

from benchmarks import workload
from schemas.moments import format_epoch_ms
from schemas.partitioning import partition_of
from schemas.settings import Settings
from schemas.topics import TOUCHPOINTS
from streams.configuration import Configuration
from streams.decoding import Decoder
from streams.friction.plan import Plan
from streams.partition import Partition
from streams.rows import Rows
from streams.rules.loading import load_rules

EPOCH = 1
BLOCK_CUSTOMERS = 50_000
TEMPLATES = 5_000
SPREAD_MS = 1_000
_VALUE = re.compile(rb'(.*"event_id":")[^"]*(".*"occurred_at":")[^"]*(".*"customer_id":")[^"]*(".*)')


class Record(NamedTuple):
    """A Kafka record as the decoder wants it."""

    offset: int
    key: bytes | None
    value: bytes | None
    timestamp: int
    headers: Sequence[tuple[str, bytes]] = ()


def configuration() -> Configuration:
    """What a worker with default settings runs with."""
    return Configuration.of(Settings.model_construct(), Plan(load_rules()))


def customers_of(number: int, partitions: int, count: int) -> Iterator[str]:
    """The ids of the first `count` customers that belong to a partition."""
    names = (f"cust-{i:07d}" for i in range(count * partitions * 2 + 1_000))
    owned = (name for name in names if partition_of(f"customer_id:{name}".encode(), partitions) == number)
    return islice(owned, count)


class Population:
    """Fills a partition with customers who each have some touchpoints of the workload's kinds, all within minutes."""

    def __init__(self, number: int, partitions: int, hot_customers: int, decoder: Decoder | None = None) -> None:
        self._configuration = configuration()
        self._decoder = decoder or Decoder(self._configuration.door, self._configuration.policy.plan.keeps)
        self._rng = random.Random(number)
        self._began_ms = time.time_ns() // 1_000_000 - 3_600_000
        self._offset = 0
        self._templates = _read_templates()
        self._chunk_records = Settings.model_construct().chunk_records
        self.partition = Partition(number, partitions, self._configuration.policy, EPOCH, hot_customers=hot_customers)

    def bring(self, names: Sequence[str], touchpoints: int) -> None:
        """Process `touchpoints` for each customer."""
        step = max(1, self._chunk_records // touchpoints)
        for start in range(0, len(names), step):
            self._process(names[start : start + step], touchpoints)

    def gather(self) -> Rows:
        """What a flush would write now."""
        rows = Rows()
        self.partition.gather(rows, self._configuration.rules, self._began_ms)
        return rows

    def _process(self, names: Sequence[str], touchpoints: int) -> None:
        moments = [self._began_ms + n * SPREAD_MS for n in range(touchpoints)]
        self._began_ms += 1
        records = [self._record(name, moment) for moment in moments for name in names]
        chunk = self._decoder.decode(TOUCHPOINTS, self.partition.number, records, self._began_ms + 3_600_000)
        assert not chunk.refusals, chunk.refusals[0].detail
        self.partition.process(chunk)

    def _record(self, name: str, occurred_ms: int) -> Record:
        before, to_time, to_customer, after = self._rng.choice(self._templates)
        digits = f"{self._rng.getrandbits(128):032x}"
        event_id = f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}".encode()
        moment = format_epoch_ms(occurred_ms).encode()
        value = b"".join((before, event_id, to_time, moment, to_customer, name.encode(), after))
        self._offset += 1
        return Record(self._offset, None, value, occurred_ms + 50)


def _read_templates() -> list[tuple[bytes, bytes, bytes, bytes]]:
    found = []
    for _, value in workload.generate(TEMPLATES, TEMPLATES // 20):
        match = _VALUE.fullmatch(value)
        assert match is not None, "the workload writes event_id, occurred_at and customer_id in this order"
        found.append((match[1], match[2], match[3], match[4]))
    return found


def in_blocks(names: Iterator[str], size: int = BLOCK_CUSTOMERS) -> Iterator[list[str]]:
    """The names in lists of at most `size`."""
    while block := list(islice(names, size)):
        yield block

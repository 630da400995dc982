"""What each process of a backfill is given, and what it makes of that: connections, rules, the door."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, partial
from typing import Any, TypeVar

from producers.mapping import Mapping as RowMapping
from schemas.errors import Fenced
from schemas.settings import Settings
from sinks import state_queries
from sinks.state_store import current_epoch, version_of
from sinks.writer import ClickHouseWriter, retry
from streams.backfill.columns import ColumnJudge
from streams.backfill.rows import Doorman, Names
from streams.backfill.stitching import Standing
from streams.configuration import Configuration
from streams.decoding import Decoder
from streams.forgotten import BlockList
from streams.row_blocks import blocks
from streams.rows import Origin, Rows
from streams.rule_watch import RuleWatch
from streams.rules.loading import directories
from streams.score_file import load_weights

PATIENCE_SECONDS = 120.0
"""So long ClickHouse may be away before a backfill gives up; the same command then goes on."""
Result = TypeVar("Result")


@dataclass(frozen=True)
class Setup:
    """Plain data, so that it can be sent to another process. `options` are the driver's."""

    options: Mapping[str, Any]
    settings: Settings
    partitions: int
    topic: str
    started_ms: int
    since_ms: int
    mapping: RowMapping | None = None


@dataclass(frozen=True)
class Claims:
    """The partitions as this run has claimed them: epochs, positions to be kept, and the time that history reaches.

    `is_first`: nobody was known before, and nobody else has worked since.
    """

    epochs: Sequence[int]
    positions: Sequence[Mapping[str, int]]
    times_ms: Sequence[int]
    is_first: bool = False

    def standings(self, flush: int, offset_topic: str) -> list[Standing]:
        """What marks the rows of a flush in each partition."""
        return [
            Standing(Origin(number, self.positions[number].get(offset_topic, 0), version_of(epoch, flush)), time_ms)
            for number, (epoch, time_ms) in enumerate(zip(self.epochs, self.times_ms, strict=True))
        ]


@dataclass
class Bench:
    """What one process works with. Each part is made when it is first needed."""

    setup: Setup
    names: Names = field(default_factory=Names)

    @cached_property
    def writer(self) -> ClickHouseWriter:
        """The connection to ClickHouse."""
        return ClickHouseWriter(self.setup.options)

    @cached_property
    def configuration(self) -> Configuration:
        """The door and the policy, as a worker would have them."""
        rules = RuleWatch(directories(self.setup.settings.rules_dir))
        return Configuration.of(self.setup.settings, rules.plan, load_weights())

    @cached_property
    def doorman(self) -> Doorman:
        """What judges rows."""
        block_list = BlockList()
        block_list.load(self.attempt(lambda: self.writer.query(state_queries.FORGOTTEN)))
        return Doorman(
            Decoder(self.configuration.door), block_list, self.configuration.policy.limits, self.setup.partitions,
            self.setup.topic, self.names,
        )  # fmt: skip

    @cached_property
    def judge(self) -> ColumnJudge:
        """What judges columns."""
        return ColumnJudge(self.configuration.door, self.names)

    def write(self, rows: Rows, claims: Claims | None = None) -> None:
        """Write rows, trying again while ClickHouse is away; under a claim only as long as it holds.

        Raises Fenced, Transient and Terminal.
        """
        for table, columns in blocks(rows):
            if columns and len(columns[0]):
                if claims is not None:
                    self.check_claims(claims)
                self.attempt(partial(self.writer.insert, table, columns))

    def attempt(self, operation: Callable[[], Result]) -> Result:
        """Do what may be done twice, again while ClickHouse is away."""
        return retry(
            operation, now=time.monotonic, sleep=time.sleep, give_up_after_seconds=PATIENCE_SECONDS,
            on_wait=lambda *_: None,
        )  # fmt: skip

    def check_claims(self, claims: Claims) -> None:
        """Raises Fenced when somebody has claimed a partition since."""
        group, numbers = self.setup.settings.consumer_group, range(self.setup.partitions)
        current = self.attempt(lambda: current_epoch(self.writer, group, list(numbers)))
        if any(current[number] > claims.epochs[number] for number in numbers):
            raise Fenced(
                "a worker has started meanwhile and owns the partitions now: stop it, and run the same command again"
            )

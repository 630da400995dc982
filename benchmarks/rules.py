"""What rules cost: a worker's throughput with all of them against none, and each one's share of a touchpoint.

The worker reads a simulated shop's life, in which every rule finds something; in the limit's workload few do.
The shares are measured in one process, without I/O: what reviewing the same life costs with one rule more than none.
"""

from __future__ import annotations

import gc
import json
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import islice
from pathlib import Path

from benchmarks.figures import Figure, at_least
from benchmarks.ground import Ground, Report
from benchmarks.throughput import follow
from producers.simulator import Shop
from schemas.identifiers import record_key
from schemas.moments import to_epoch_ms
from schemas.settings import Settings
from schemas.topics import TOUCHPOINTS
from streams.configuration import Configuration
from streams.decoding import Decoder
from streams.friction.plan import Plan
from streams.partition import Partition
from streams.records import DecodedChunk
from streams.rules.loading import load_rule_set
from streams.rules.model import Rule

COUNT = 200_000
SHARED = 40_000
"""So many touchpoints for each rule's own share."""
CHUNK = 4_000
RUNS = 3
WANTED = 0.7
SETTINGS = {"oldest_touchpoint": "36500d"}


@dataclass
class Lived:
    """One record of the shop's life."""

    offset: int
    key: bytes
    value: bytes
    timestamp: int
    headers: tuple[tuple[str, bytes], ...] = ()


def live(count: int) -> Iterator[Lived]:
    """The first touchpoints of a shop that has a customer for every fifteen of them in its month."""
    shop = Shop(seed=11, start=datetime(2026, 9, 1, tzinfo=UTC), customers=max(10, count // 15), personal=False)
    for offset, touchpoint in enumerate(islice(shop.touchpoints(), count)):
        key = record_key("customer_id", touchpoint["identifiers"]["customer_id"]).encode()
        value = json.dumps(touchpoint, separators=(",", ":")).encode()
        yield Lived(offset, key, value, to_epoch_ms(datetime.fromisoformat(touchpoint["occurred_at"])))


def measure(count: int | None, report: Report) -> list[Figure]:
    """Run on `count` touchpoints (default 200,000)."""
    count = count or COUNT
    rules = load_rule_set().rules
    none = _rate(count, rules, report)
    all_on = _rate(count, (), report)
    ratio = at_least("all_rules", all_on / none, "of the rate with none", WANTED)
    rates = [Figure("rate_all_rules", all_on, "touchpoints/s"), Figure("rate_no_rules", none, "touchpoints/s")]
    return [ratio, *rates, *_shares(rules, min(count, SHARED), report)]


def _rate(count: int, switched_off: Sequence[Rule], report: Report) -> float:
    """Touchpoints a second that one worker takes without these rules."""
    with Ground() as ground:
        own = ground.directory / "rules"
        own.mkdir()
        for rule in switched_off:
            _switch_off(own, rule)
        ground.load(((each.key, each.value) for each in live(count)), report, count)
        with ground.worker(**SETTINGS, rules_dir=str(own)) as worker:
            return count / follow(ground, worker, count, report).seconds


def _switch_off(directory: Path, rule: Rule) -> None:
    (directory / f"{rule.id}.yaml").write_text(f"id: {rule.id}\nenabled: false\n", "utf-8")


def _shares(rules: Sequence[Rule], count: int, report: Report) -> Iterator[Figure]:
    records = [*live(count)]
    bare = _microseconds((), records)
    yield Figure("without_rules", bare, "µs/touchpoint")
    for rule in rules:
        report(f"share of {rule.id}")
        needed = [each for each in rules if each.kind == "friction" and not each.is_sequel] if rule.is_sequel else []
        before = _microseconds(needed, records) if needed else bare
        yield Figure(rule.id, max(0.0, _microseconds([*needed, rule], records) - before), "µs/touchpoint")
    yield Figure("all_together", _microseconds(rules, records) - bare, "µs/touchpoint")


def _microseconds(rules: Sequence[Rule], records: Sequence[Lived]) -> float:
    """The least of some runs: stitching and detecting with these rules, for a touchpoint."""
    return min(_run(rules, records) for _ in range(RUNS)) / len(records) * 1e6


def _run(rules: Sequence[Rule], records: Sequence[Lived]) -> float:
    settings = Settings(oldest_touchpoint=timedelta(days=36_500))
    configuration = Configuration.of(settings, Plan(rules, load_rule_set().calendars))
    decoder = Decoder(configuration.door, configuration.policy.plan.keeps)
    partition = Partition(0, 1, configuration.policy, 1, hot_customers=len(records))
    chunks = [_decode(decoder, records[start : start + CHUNK]) for start in range(0, len(records), CHUNK)]
    gc.collect()
    # As in the worker, which looks for cycles rarely.
    gc.disable()
    began = time.process_time()
    for chunk in chunks:
        partition.process(chunk)
    seconds = time.process_time() - began
    gc.enable()
    return seconds


def _decode(decoder: Decoder, records: Sequence[Lived]) -> DecodedChunk:
    return decoder.decode(TOUCHPOINTS, 0, records, records[-1].timestamp)

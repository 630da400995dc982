"""A producer with a spool is killed again and again, while Kafka is there and while it is away: it keeps its word.

The seed is printed with the rest of a failing test; its ledger, its spool and the producer's log stay in the test's
directory.
"""

from __future__ import annotations

import contextlib
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any, Literal

import pytest

from producers.spool_records import Fault, decode_body, find_body
from schemas.settings import SpoolFsync
from tests.faults.audit import hold_against_ledger, settle
from tests.faults.chaos_platform import ChaosPlatform
from tests.faults.chaos_proxy import Mode
from tests.faults.checker import find_disorder
from tests.faults.conftest import USUAL
from tests.faults.ledger import Entry, read_ledger
from tests.faults.mortal_producer import TIMING, Errand, wire_events
from tests.integration.expectations import GAP_ONLY
from tests.integration.harness import ROOT, wait_until

pytestmark = [
    pytest.mark.faults,
    pytest.mark.timeout(300),
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.usefixtures("collected"),
]

Away = Literal["no", "suspended", "blackhole", "reset", "half_open"]
Tear = Literal["none", "cut", "zeros", "garbage", "half"]
AWAY: tuple[Away, ...] = ("no", "no", "no", "suspended", "blackhole", "blackhole", "reset", "half_open")
TEARS: tuple[Tear, ...] = ("none", "none", "cut", "cut", "cut", "zeros", "garbage", "half")
POLICIES: tuple[SpoolFsync, ...] = ("always", "interval", "never")
KILLS, EVENTS_A_LIFE = len(AWAY), 120
EARLY_SECONDS, PAUSE_SECONDS, LATE_SECONDS = 1.5, 0.01, 0.03
NOTICED_SECONDS, DRAINING_SECONDS = 1.5 * TIMING.answer_seconds, 1.0
MOST_GARBAGE_BYTES = 400


def test_a_producer_is_killed_again_and_again(tmp_path: Path, seed: int) -> None:
    """What is `ok` is there once, what is unknown at most once, nothing else, and each key in the order of sending."""
    print(f"seed {seed}")
    with ChaosPlatform(tmp_path / "platform", dict(GAP_ONLY), kafka=USUAL) as platform:
        producer = MortalProducer(platform, tmp_path, seed)
        platform.wait_assigned(platform.start_worker())
        for number, (away, tear) in enumerate(producer.plan()):
            producer.live(number, away, tear)
        producer.end()
        hold_against_ledger(platform, producer.ledger, producer.events)
        assert_order(platform, producer)
        assert_that_a_lost_spool_is_found(platform, producer)


def assert_order(platform: ChaosPlatform, producer: MortalProducer) -> None:
    _, seen = settle(platform, producer.ledger)
    assert not find_disorder(producer.entries(), seen.records)


def assert_that_a_lost_spool_is_found(platform: ChaosPlatform, producer: MortalProducer) -> None:
    """A kill while Kafka is away, and the spool deleted: all that was promised since is missing."""
    before = producer.entries()
    with away_for(platform, "blackhole"):
        running = producer.start(until=len(before) + EVENTS_A_LIFE, fsync="always")
        producer.wait_announced(running, len(before) + EVENTS_A_LIFE // 2)
        producer.kill(running)
    promised = {name for name, each in producer.entries().items() if each.outcome == "ok"} - before.keys()
    shutil.rmtree(producer.spool)
    producer.end(sends_again=False)
    findings, _ = settle(platform, producer.ledger)
    assert findings.lost == [f"{name} from the topic" for name in sorted(promised)] and promised


class MortalProducer:
    """One producer over its lives: its events, its ledger and its spool."""

    def __init__(self, platform: ChaosPlatform, directory: Path, seed: int) -> None:
        self.ledger, self.spool, self._log = directory / "ledger", directory / "spool", directory / "producer.log"
        # The last three: one that ends by itself, one whose spool is deleted, and one that ends by itself.
        self._count = (KILLS + 3) * EVENTS_A_LIFE
        self.events = wire_events(seed, self._count)
        self._platform, self._seed = platform, seed
        self._chosen = random.Random(seed)
        self._fault = contextlib.ExitStack()

    def plan(self) -> list[tuple[Away, Tear]]:
        """For each life, how Kafka is away in it, and what becomes of the spool after it."""
        away, tears = [*AWAY], [*TEARS]
        self._chosen.shuffle(away)
        self._chosen.shuffle(tears)
        return list(zip(away, tears, strict=True))

    def live(self, number: int, away: Away, tear: Tear) -> None:
        """Be started, send while Kafka goes away or is away, be killed, and lose what was not promised."""
        chosen, begun = self._chosen, len(self.entries())
        # What only the operating system knows of may outlast a kill, but no loss of power.
        policy = chosen.choice(POLICIES if tear in ("none", "garbage", "half") else POLICIES[:2])
        is_early, is_away_before, lasts = (chosen.random() < chance for chance in (0.2, 0.5, 0.5))
        again, pause_seconds = chosen.random() < 0.5, chosen.choice((0.0, PAUSE_SECONDS))
        print(f"life {number} from {begun}: {policy}, {away}, {tear=}, {is_early=}, {is_away_before=}, {lasts=}")
        if is_away_before or is_early:
            self._meet(away)
        until = begun + EVENTS_A_LIFE
        running = self.start(until=until, fsync=policy, pause_seconds=pause_seconds, sends_again=again)
        if is_early:
            time.sleep(chosen.uniform(0, EARLY_SECONDS))
        else:
            self._watch(running, begun, None if is_away_before else away)
        self.kill(running)
        tear_last_segment(self.spool, self.entries(), tear, chosen)
        if not lasts:
            self._fault.close()

    def _watch(self, running: subprocess.Popen[bytes], begun: int, away: Away | None) -> None:
        """See it send; Kafka may go away, and may be back before the end, so that it is sending again by then."""
        chosen = self._chosen
        first, second = sorted(chosen.randint(1, EVENTS_A_LIFE) for _ in range(2))
        self.wait_announced(running, begun + first)
        if away is not None:
            self._meet(away)
        self.wait_announced(running, begun + second)
        if chosen.random() < 0.5:
            time.sleep(NOTICED_SECONDS)
            self._fault.close()
            time.sleep(chosen.uniform(0, DRAINING_SECONDS))
        time.sleep(chosen.uniform(0, LATE_SECONDS))

    def _meet(self, away: Away) -> None:
        """One fault at a time: that of an earlier life ends."""
        self._fault.close()
        self._fault.enter_context(away_for(self._platform, away, is_cut=self._chosen.random() < 0.7))

    def end(self, **more: Any) -> None:
        """A last life, in which nothing happens: all is sent, and the spool is empty at its end."""
        self._fault.close()
        running = self.start(until=len(self.entries()) + EVENTS_A_LIFE, ends=True, **more)
        assert running.wait(120) == 0, self._log.read_text("utf-8")
        assert not [*self.spool.glob("*.segment")]

    def start(self, **more: Any) -> subprocess.Popen[bytes]:
        kafka = self._platform.producer_options
        errand = Errand(str(self.ledger), str(self.spool), kafka, self._seed, self._count, **more)
        command = [sys.executable, "-m", "tests.faults.mortal_producer", json.dumps(asdict(errand))]
        with self._log.open("ab") as log:
            return subprocess.Popen(command, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=log, stderr=log)

    def kill(self, running: subprocess.Popen[bytes]) -> None:
        running.kill()
        assert running.wait() == -signal.SIGKILL, self._log.read_text("utf-8")

    def wait_announced(self, running: subprocess.Popen[bytes], count: int) -> None:
        def is_announced() -> bool:
            assert running.poll() is None, self._log.read_text("utf-8")
            return len(self.entries()) >= count

        wait_until(is_announced, f"{count} events to be announced", every=0.01)

    def entries(self) -> dict[str, Entry]:
        return read_ledger(self.ledger) if self.ledger.exists() else {}


@contextlib.contextmanager
def away_for(platform: ChaosPlatform, away: Away, *, is_cut: bool = False) -> Iterator[None]:
    """Have Kafka away for the producer, or for all. What a link holds back comes through later, unless cut."""
    if away == "no":
        yield
    elif away == "suspended":
        platform.broker.suspend()
        try:
            yield
        finally:
            platform.broker.resume()
    else:
        with platform.producer_link.misbehaving(Mode(away)):
            yield
            if is_cut:
                platform.producer_link.cut()


def tear_last_segment(spool: Path, ledger: dict[str, Entry], tear: Tear, chosen: random.Random) -> None:
    """What a kill or a loss of power may leave behind the last record that is promised: less, other bytes, or more.

    Whoever loses that much may have lost the noted position as well.
    """
    path = max(spool.glob("*.segment"), default=None)
    if path is None or tear == "none":
        return
    content = path.read_bytes()
    safe = end_of_promised(content, ledger)
    print(f"{path.name}: {safe} of {len(content)} bytes are promised, {tear}")
    at = chosen.randint(safe, len(content))
    if tear == "cut":
        os.truncate(path, at)
    elif tear == "zeros":
        path.write_bytes(content[:at] + bytes(len(content) - at + chosen.randrange(MOST_GARBAGE_BYTES)))
    elif tear == "garbage":
        path.write_bytes(content + chosen.randbytes(chosen.randrange(MOST_GARBAGE_BYTES)))
    elif isinstance(span := find_body(memoryview(content), 0), tuple):
        path.write_bytes(content + content[: chosen.randrange(1, span[1])])
    if tear in ("cut", "zeros") and chosen.random() < 0.5:
        (spool / "position").unlink(missing_ok=True)


def end_of_promised(content: bytes, ledger: dict[str, Entry]) -> int:
    """The byte behind the last record of a segment that the ledger calls ok."""
    at = end = 0
    while not isinstance(span := find_body(memoryview(content), at), Fault):
        at = span[1]
        entry = ledger[json.loads(decode_body(content[span[0] : at]).value)["event_id"]]
        end = at if entry.outcome == "ok" else end
    return end

"""A simulated shop whose alerts do not wait for the clock, and what an undisturbed run makes of it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from producers.client import Client
from producers.simulator import make_demo
from schemas.identifiers import Pseudonymiser
from schemas.topics import FRICTION_ALERTS, REPLAY_HEADER
from tests.integration.expectations import GAP_ONLY, RecordingEmitter
from tests.integration.harness import Feed, Platform, wait_until
from tests.integration.test_alerts import Alerts, table_rows

# Long ago: nothing in it waits for the clock.
NOW = datetime(2026, 6, 1, tzinfo=UTC)

UndisturbedOf = Callable[[int], dict[str, tuple[Any, ...]]]
"""What an undisturbed run makes of the shop of a seed."""


def shop(seed: int) -> list[Feed]:
    """Three days of a simulated shop, as `journeys replay` would send them."""
    emitter = RecordingEmitter()
    with Client(emitter, Pseudonymiser(b"any key of some length", "k1", "IL")) as client:
        for touchpoint in make_demo(seed, NOW).history:
            client.replay(touchpoint, ((REPLAY_HEADER, b"1"),))
    return emitter.records


def alerts(platform: Platform) -> dict[str, tuple[Any, ...]]:
    """The table's alerts by id, which must be those of the topic, without what other data disproved on the way."""
    with platform.tail(FRICTION_ALERTS) as read:
        told = Alerts(read)

        def agree() -> bool:
            told.read_on()
            return told.latest_rows() == table_rows(platform)

        try:
            wait_until(agree, "the topic to say what the table shows")
        except AssertionError as error:
            error.add_note(differences(told.latest_rows(), table_rows(platform)))
            raise
    return {identity: row for identity, row in told.latest_rows().items() if "withdrawn" not in row}


def undisturbed_alerts(directory: Path, records: list[Feed]) -> dict[str, tuple[Any, ...]]:
    """The alerts of a run without faults, on a platform of its own."""
    with Platform(directory, dict(GAP_ONLY)) as clean:
        clean.send(records)
        clean.start_worker()
        clean.wait_idle()
        found = alerts(clean)
    assert len({row[1] for row in found.values()}) > 5, "alerts of several rules"
    return found


def differences(topic: dict[str, tuple[Any, ...]], table: dict[str, tuple[Any, ...]]) -> str:
    """Episodes of which the two do not say the same, a line each."""
    names = sorted(name for name in topic.keys() | table.keys() if topic.get(name) != table.get(name))
    return "\n".join(f"{name}\n  topic {topic.get(name)}\n  table {table.get(name)}" for name in names)

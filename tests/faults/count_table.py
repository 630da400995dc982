"""Faults that are counted, and their table at the end, also where xdist's processes share the tests of a run."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, fields
from statistics import median
from typing import Any

import pytest


@dataclass
class Damage:
    """What differs from what must be; all 0 when nothing does."""

    lost: int = 0
    doubled: int = 0
    journeys: int = 0
    alerts: int = 0

    def add(self, other: Damage) -> None:
        for each in fields(self):
            setattr(self, each.name, getattr(self, each.name) + getattr(other, each.name))


@dataclass
class Count:
    """All faults of one kind so far."""

    fault: str
    in_flight: list[int] = field(default_factory=list)
    recovery_seconds: list[float] = field(default_factory=list)
    damage: Damage = field(default_factory=Damage)

    def add(self, other: Count) -> None:
        self.in_flight += other.in_flight
        self.recovery_seconds += other.recovery_seconds
        self.damage.add(other.damage)

    def row(self) -> str:
        """A row of the table below `HEAD`."""
        seconds = f"{median(self.recovery_seconds):.1f} s, at most {max(self.recovery_seconds):.1f} s"
        flight = f"{median(self.in_flight):,.0f}, at most {max(self.in_flight):,}"
        damage = " | ".join(f"{getattr(self.damage, each.name):,}" for each in fields(Damage))
        return f"| {self.fault} | {len(self.in_flight)} | {flight} | {damage} | {seconds} |"


HEAD = (
    "| fault | injected | touchpoints in flight | lost | doubled | journeys that differ | alerts that differ "
    "| until all was done |\n|---|---|---|---|---|---|---|---|"
)


def write_table(counts: Iterable[Count]) -> str:
    """The table of all faults that were met, as docs/reliability.md has it."""
    return "\n".join([HEAD, *(count.row() for count in counts if count.in_flight)])


class Counts:
    """All kinds of faults, over all tests and rounds of a run."""

    def __init__(self) -> None:
        self.by_fault: dict[str, Count] = {}

    def of(self, fault: str) -> Count:
        return self.by_fault.setdefault(fault, Count(fault))

    def hand_over(self) -> list[dict[str, Any]]:
        """All of them, in plain types."""
        return [asdict(count) for count in self.by_fault.values()]

    def take_over(self, told: Iterable[Mapping[str, Any]]) -> None:
        """Add what another process handed over."""
        for each in told:
            self.of(each["fault"]).add(Count(**{**each, "damage": Damage(**each["damage"])}))


COUNTS = pytest.StashKey[Counts]()
HANDED_OVER = "fault_counts"


def counts_of(config: pytest.Config) -> Counts:
    return config.stash.setdefault(COUNTS, Counts())


def pytest_sessionfinish(session: pytest.Session) -> None:
    """A process of pytest-xdist hands over what it counted."""
    if (output := getattr(session.config, "workeroutput", None)) is not None:
        output[HANDED_OVER] = counts_of(session.config).hand_over()


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    """One that died says nothing any more; its test has failed by that."""
    counts_of(node.config).take_over(getattr(node, "workeroutput", {}).get(HANDED_OVER, ()))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Print the table of all faults that were counted."""
    if counts := counts_of(config).by_fault:
        terminalreporter.section("faults")
        terminalreporter.write_line(write_table(counts.values()))

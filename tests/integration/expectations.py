"""Touchpoints to send, and what must come of them by the gap rule alone, in plain lines."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from producers.client import Client
from producers.emitters import Answered, Headers
from producers.mapping import load_mapping
from producers.replay import ReplayOptions, replay_file
from schemas.moments import check_moment, format_epoch_ms, to_epoch_ms
from streams.touch import derive_id
from tests.integration.harness import ROOT, Feed, Platform

GAP_MS = 30 * 60_000
GAP_ONLY = {"journey_gap": "30m", "hold_open_for_promises": "false", "allowed_lateness": "200d"}
"""Settings under which the gap alone decides, and nothing is too late."""


class RecordingEmitter:
    """An emitter that keeps what a client would send."""

    def __init__(self) -> None:
        self.records: list[Feed] = []

    def send(self, key: bytes, value: bytes, headers: Headers, answered: Answered) -> None:
        self.records.append(Feed(key, value, headers))
        answered(None)

    def flush(self, timeout_seconds: float) -> None: ...

    def close(self, timeout_seconds: float) -> None: ...


_ECOM: list[Feed] = []


def read_ecom(directory: Path) -> list[Feed]:
    """The records that `journeys replay` makes of the web shop's events. Each process replays them once."""
    if not _ECOM:
        emitter = RecordingEmitter()
        with Client(emitter) as client:
            replay_file(
                ROOT / "tests/data/ecom.csv.gz",
                client,
                load_mapping(ROOT / "producers/mappings/ecom.yaml"),
                ReplayOptions(from_start=True, state_dir=directory),
            )
        _ECOM.extend(emitter.records)
    return list(_ECOM)


def touchpoint(customer: str, event_id: str, occurred_ms: int, type: str = "browsed", **more: Any) -> Feed:
    """One keyed record of a web touchpoint; `more` goes over its fields."""
    body = {
        "event_id": event_id,
        "source": "web",
        "type": type,
        "occurred_at": format_epoch_ms(occurred_ms),
        "identifiers": {"customer_id": customer},
        **more,
    }
    return Feed(f"customer_id:{customer}".encode(), json.dumps(body).encode())


@dataclass(frozen=True)
class Expected:
    """`journeys` as `Platform.journeys`, `members` as `Platform.members`."""

    journeys: dict[str, tuple[str, int, int, int]]
    members: dict[tuple[str, str], tuple[str, str]]


def expect(records: Iterable[Feed], gap_ms: int = GAP_MS) -> Expected:
    """What a clean run over the set of these records gives when the gap alone decides."""
    lives: dict[str, set[tuple[int, str, str]]] = defaultdict(set)
    for record in records:
        body = json.loads(record.value or b"")
        moment = to_epoch_ms(check_moment(body["occurred_at"]))
        lives[body["identifiers"]["customer_id"]].add((moment, body["source"], body["event_id"]))
    expected = Expected({}, {})
    for customer, life in lives.items():
        for journey in _split(sorted(life), gap_ms):
            identity = derive_id(f"customer_id:{customer}", *journey[0][1:])
            expected.journeys[identity] = customer, journey[0][0], journey[-1][0], len(journey)
            expected.members.update({(source, event): (customer, identity) for _, source, event in journey})
    return expected


def _split(life: Sequence[tuple[int, str, str]], gap_ms: int) -> list[list[tuple[int, str, str]]]:
    journeys = [[life[0]]]
    for former, touch in zip(life, life[1:], strict=False):
        if touch[0] - former[0] > gap_ms:
            journeys.append([])
        journeys[-1].append(touch)
    return journeys


def assert_exact(platform: Platform, expected: Expected) -> None:
    """The tables show exactly what is expected, and nothing was refused or is called late."""
    assert platform.dead_letter_reasons() == {}
    assert platform.query("SELECT count() FROM analytics.touchpoints WHERE late") == [(0,)]
    found = differences(platform.members(), expected.members) + differences(platform.journeys(), expected.journeys)
    assert not found, "\n".join(found)


def differences(found: dict[Any, Any], expected: dict[Any, Any], at_most: int = 10) -> list[str]:
    """The first differences, one readable line each."""
    keys = sorted(key for key in found.keys() | expected.keys() if found.get(key) != expected.get(key))
    return [f"{key}: found {found.get(key)}, expected {expected.get(key)}" for key in keys[:at_most]] + (
        [f"and {len(keys) - at_most} more"] if len(keys) > at_most else []
    )

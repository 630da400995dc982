import threading
from collections.abc import Mapping, Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.errors import Transient
from sinks import state_store
from sinks.migrate import migrate
from sinks.state_store import (
    Claim,
    Orphan,
    claim_epoch,
    current_epoch,
    had_owner,
    last_complete_version,
    load_late,
    load_states,
    orphans,
    record_flush,
    unfinished_decisions,
    unfinished_ranges,
    version_of,
)
from sinks.tables import (
    ALERTS,
    CUSTOMER_STATE,
    IDENTITY_OWNERS,
    JOURNEYS,
    PARTITION_PROGRESS,
    PROMISES,
    TOUCHPOINTS,
    Table,
)
from sinks.writer import ClickHouseWriter, MemoryWriter, Writer
from tests.sinks.rows import NOW_MS, columns, uuid


def flush(writer: Writer, claim: Claim, number: int, time_ms: int = 0, **positions: int) -> None:
    record_flush(writer, "g", [(claim.partition, claim.epoch, number, time_ms, positions)], "w")


def test_the_first_claim_of_a_group_starts_from_nothing(writer: Writer) -> None:
    assert claim_epoch(writer, "g", 3, "w") == Claim(3, 1, 0, {}, 0)


def test_a_claim_goes_on_where_the_last_complete_flush_ended(writer: Writer) -> None:
    first = claim_epoch(writer, "g", 0, "w")
    flush(writer, first, 1, 100, touchpoints=10)
    flush(writer, first, 2, 200, touchpoints=20, facts=7)
    assert claim_epoch(writer, "g", 0, "w") == Claim(0, 2, 200, {"touchpoints": 20, "facts": 7}, first.version(2))


def test_a_claim_that_never_flushed_hands_on_what_it_was_given(writer: Writer) -> None:
    first = claim_epoch(writer, "g", 0, "w")
    flush(writer, first, 1, 100, touchpoints=10)
    claim_epoch(writer, "g", 0, "w")
    assert claim_epoch(writer, "g", 0, "w") == Claim(0, 3, 100, {"touchpoints": 10}, first.version(1))


def test_epochs_grow_across_the_partitions_of_a_group_and_groups_are_apart(writer: Writer) -> None:
    epochs = [claim_epoch(writer, "g", partition, "w").epoch for partition in (0, 1, 0, 5)]
    assert epochs == [1, 2, 3, 4]
    assert claim_epoch(writer, "another", 0, "w").epoch == 1
    assert current_epoch(writer, "g", [0, 1, 2, 5]) == {0: 3, 1: 2, 2: 0, 5: 4}
    assert current_epoch(writer, "g", []) == {}


def test_who_lost_the_partition_finds_out(writer: Writer) -> None:
    old = claim_epoch(writer, "g", 0, "old")
    assert current_epoch(writer, "g", [0]) == {0: old.epoch}
    claim_epoch(writer, "g", 0, "new")
    assert current_epoch(writer, "g", [0])[0] > old.epoch


def test_what_a_worker_records_after_it_lost_the_partition_moves_nothing(writer: Writer) -> None:
    old = claim_epoch(writer, "g", 0, "old")
    flush(writer, old, 1, 100, touchpoints=10)
    new = claim_epoch(writer, "g", 0, "new")
    flush(writer, old, 2, 999, touchpoints=99)
    assert (new.partition_time_ms, new.positions) == (100, {"touchpoints": 10})
    flush(writer, new, 1, 150, touchpoints=15)
    assert claim_epoch(writer, "g", 0, "next").positions == {"touchpoints": 15}


def test_many_who_claim_at_once_all_get_epochs_of_their_own(writer: Writer) -> None:
    claims: list[Claim] = []

    def claim() -> None:
        claims.append(claim_epoch(writer, "g", 0, "same name"))

    threads = [threading.Thread(target=claim) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    epochs = [claim.epoch for claim in claims]
    assert len(set(epochs)) == len(epochs) == 4
    assert current_epoch(writer, "g", [0]) == {0: max(epochs)}


class Interfering(MemoryWriter):
    """Another worker claims the same epoch right after each of the first `times` claims."""

    def __init__(self, times: int) -> None:
        super().__init__()
        self.times = times

    def insert(self, table: Table, data: Sequence[Sequence[Any]]) -> int:
        count = super().insert(table, data)
        if self.times:
            self.times -= 1
            super().insert(table, [*data[:-1], ["somebody else"]])
        return count


def test_an_epoch_that_another_claimed_too_is_given_up_for_a_higher_one() -> None:
    assert claim_epoch(Interfering(3), "g", 0, "w").epoch == 4
    with pytest.raises(Transient, match="partition 0 of g"):
        claim_epoch(Interfering(1_000), "g", 0, "w")


def test_flushes_of_several_partitions_are_one_insert() -> None:
    writer = MemoryWriter()
    writer.fail_next(Transient("one call only"), after_writing=True)
    with pytest.raises(Transient):
        record_flush(writer, "g", [(0, 1, 1, 5, {"t": 1}), (1, 2, 1, 6, {"t": 2})], "w")
    assert [row["partition"] for row in writer.rows(PARTITION_PROGRESS)] == [0, 1]
    record_flush(writer, "g", [], "w")
    assert len(writer.rows(PARTITION_PROGRESS)) == 2


def state(key: str, version: int, *, segment: int = 0, deleted: int = 0, key_hash: int = 0) -> Mapping[str, Any]:
    blob = f"{key} {version}".encode() + b"\xff\0"
    common = {"customer_key": key, "segment": segment, "key_hash": key_hash, "next_due_ms": version, "blob": blob}
    return {**common, "_version": version, "_is_deleted": deleted}


def test_what_was_late_is_found_from_a_little_before_the_position_on(
    writer: Writer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(state_store, "LONGEST_REPEAT_RECORDS", 10)
    row: dict[str, Any] = {"source": "web", "customer_id": "A", "_topic": "touchpoints", "_partition": 1, "late": 1}
    others: list[dict[str, Any]] = [
        {"_topic": "touchpoints-rekeyed"},
        {"_partition": 2},
        {"late": 0},
        {"_offset": 89},
        {"_offset": 110},
        {"_is_deleted": 1},
        {"_offset": 95},
    ]
    rows = [{**row, "_offset": 90, **changes, "event_id": f"e{n}"} for n, changes in enumerate([*others, {}])]
    again = [{**row, "_offset": 91 + late, "event_id": "in time once", "late": late} for late in (0, 1)]
    for each in [*rows, *again]:
        writer.insert(TOUCHPOINTS, columns(TOUCHPOINTS, [each]))
    assert load_late(writer, "touchpoints", 1, 100) == [("web", "e7", NOW_MS, 90), ("web", "e6", NOW_MS, 95)]
    assert load_late(writer, "touchpoints", 1, 5) == []


def test_states_are_the_newest_of_the_partition_in_order(writer: Writer) -> None:
    for rows in (
        [state("b", 1), state("a", 1, segment=1), state("a", 1), state("gone", 1), state("elsewhere", 1, key_hash=3)],
        [state("b", 3, key_hash=4), state("gone", 2, deleted=1)],
        [state("b", 2, key_hash=4), state("é", 1, key_hash=2**32 - 4)],
    ):
        writer.insert(CUSTOMER_STATE, columns(CUSTOMER_STATE, rows))
    blocks = list(load_states(writer, 0, 4))
    loaded = [
        row
        for block in blocks
        for row in zip(
            block.customer_keys, block.segments, block.key_hashes, block.next_due_ms, block.blobs, strict=True
        )
    ]
    assert loaded == [
        ("a", 0, 0, 1, b"a 1\xff\0"),
        ("a", 1, 0, 1, b"a 1\xff\0"),
        ("b", 0, 4, 3, b"b 3\xff\0"),
        ("é", 0, 2**32 - 4, 1, "é 1".encode() + b"\xff\0"),
    ]
    assert [block.customer_keys for block in load_states(writer, 3, 4)] == [["elsewhere"]]
    assert list(load_states(writer, 1, 4)) == []


@pytest.mark.parametrize("partition", [-1, 4])
def test_a_partition_that_does_not_exist_is_refused(partition: int) -> None:
    with pytest.raises(ValueError, match="0 to 3"):
        list(load_states(MemoryWriter(), partition, 4))
    with pytest.raises(ValueError, match="0 to 3"):
        orphans(MemoryWriter(), "g", partition, 4)


def journey(number: int, version: int, partition: int = 0, deleted: int = 0) -> Mapping[str, Any]:
    mine = {"customer_id": f"C-{number}", "journey_id": str(uuid(number))}
    return {**mine, "_partition": partition, "_version": version, "_is_deleted": deleted}


def test_rows_of_a_flush_that_was_not_completed_are_orphans_until_superseded(writer: Writer) -> None:
    claim = claim_epoch(writer, "g", 0, "killed")
    writer.insert(JOURNEYS, columns(JOURNEYS, [journey(1, claim.version(1)), journey(2, claim.version(1))]))
    flush(writer, claim, 1)
    cut_off = claim.version(2)
    rows = [journey(2, cut_off), journey(3, cut_off), journey(4, cut_off, partition=1), journey(5, cut_off, deleted=1)]
    writer.insert(JOURNEYS, columns(JOURNEYS, rows))
    writer.insert(PROMISES, columns(PROMISES, [{"customer_id": "C-3", "_version": cut_off}]))
    writer.insert(ALERTS, columns(ALERTS, [{"customer_id": "C-3", "_version": cut_off}]))

    claim_epoch(writer, "g", 0, "also killed, before its first flush")
    new = claim_epoch(writer, "g", 0, "new")
    left = [
        Orphan(JOURNEYS.name, "C-2", str(uuid(2))),
        Orphan(JOURNEYS.name, "C-3", str(uuid(3))),
        Orphan(PROMISES.name, "C-3", str(uuid(1))),
        Orphan(ALERTS.name, "C-3", str(uuid(1))),
    ]
    assert orphans(writer, "g", 0, 4) == left

    rows = [journey(2, new.version(1)), journey(3, new.version(1), deleted=1)]
    writer.insert(JOURNEYS, columns(JOURNEYS, rows))
    assert orphans(writer, "g", 0, 4) == left[2:]
    flush(writer, new, 1)
    claim_epoch(writer, "g", 0, "next")
    assert orphans(writer, "g", 0, 4) == left[2:]


def test_what_a_worker_wrote_after_it_lost_the_partition_is_found_at_a_later_claim(writer: Writer) -> None:
    old = claim_epoch(writer, "g", 0, "old")
    new = claim_epoch(writer, "g", 0, "new")
    assert orphans(writer, "g", 0, 4) == []
    flush(writer, new, 1)
    writer.insert(JOURNEYS, columns(JOURNEYS, [journey(1, old.version(1))]))
    claim_epoch(writer, "g", 0, "next")
    assert orphans(writer, "g", 0, 4) == [Orphan(JOURNEYS.name, "C-1", str(uuid(1)))]


def test_decisions_of_a_flush_that_was_not_completed_are_found_until_they_are_taken_again(writer: Writer) -> None:
    def decide(identifier: str, version: int) -> None:
        row = {"identifier": identifier, "owner": "customer_id:A", "status": "linked", "_version": version}
        writer.insert(IDENTITY_OWNERS, columns(IDENTITY_OWNERS, [row]))

    claim = claim_epoch(writer, "g", 0, "killed")
    assert unfinished_decisions(writer, "g", 0) == []
    neighbour = claim_epoch(writer, "g", 1, "neighbour")
    decide("email:written", claim.version(1))
    flush(writer, claim, 1)
    decide("email:cut off", claim.version(2))
    decide("email:also cut off", claim.version(2))
    decide("email:of the neighbour", neighbour.version(3))
    new = claim_epoch(writer, "g", 0, "new")
    assert sorted(unfinished_decisions(writer, "g", 0)) == ["email:also cut off", "email:cut off"]
    decide("email:cut off", new.version(1))
    assert unfinished_decisions(writer, "g", 0) == ["email:also cut off"]


def test_who_claims_a_partition_knows_whether_anybody_had_it_before(writer: Writer) -> None:
    claim_epoch(writer, "g", 1, "of another partition")
    claim_epoch(writer, "g", 0, "first")
    assert not had_owner(writer, "g", 0)
    claim_epoch(writer, "g", 0, "second, though the first wrote nothing")
    assert had_owner(writer, "g", 0)


def test_a_partition_that_was_never_claimed_has_no_orphans(writer: Writer) -> None:
    assert orphans(writer, "g", 0, 4) == []


@pytest.mark.integration
def test_progress_and_orphans_survive_merges_and_a_long_history(clickhouse: ClickHouseWriter) -> None:
    row = [(0, epoch, number, epoch * 100 + number, {"t": epoch}) for epoch in range(1, 601) for number in range(3)]
    record_flush(clickhouse, "g", row, "w")
    clickhouse.query("OPTIMIZE TABLE journeys.partition_progress FINAL")
    assert clickhouse.query("SELECT count() FROM journeys.partition_progress") == [(600,)]
    clickhouse.insert(JOURNEYS, columns(JOURNEYS, [journey(1, version_of(599, 2)), journey(2, version_of(599, 3))]))
    claim = claim_epoch(clickhouse, "g", 0, "w")
    assert claim == Claim(0, 601, 60_002, {"t": 600}, version_of(600, 2))
    assert [orphan.customer_id for orphan in orphans(clickhouse, "g", 0, 1)] == ["C-2"]


flush_histories = st.dictionaries(st.integers(1, 30), st.integers(0, 5), min_size=1).map(lambda d: sorted(d.items()))


@given(flush_histories, st.integers(1, 30), st.integers(1, 8))
def test_a_version_is_unfinished_exactly_if_its_flush_was_never_recorded(
    history: list[tuple[int, int]], epoch: int, number: int
) -> None:
    ours = history[-1][0]
    version = version_of(epoch, number)
    found = any(low <= version <= high for low, high in unfinished_ranges(history))
    first = history[0][0]
    assert found == (first <= epoch < ours and number > dict(history).get(epoch, 0))


@given(flush_histories)
def test_the_last_complete_version_is_of_an_earlier_epoch_that_flushed(history: list[tuple[int, int]]) -> None:
    ours = history[-1][0]
    version = last_complete_version(history, ours)
    flushed = [version_of(*each) for each in history[:-1] if each[1]]
    assert version == max([0, *flushed])
    assert version < version_of(ours, 0)


def test_versions_order_by_epoch_then_flush() -> None:
    assert version_of(1, 2**32 - 1) < version_of(2, 0) < version_of(2, 1)
    assert state_store.Claim(0, 5, 0, {}, 0).version(7) == version_of(5, 7)


@pytest.mark.integration
def test_it_does_not_matter_which_database_the_connection_is_in(options: dict[str, Any]) -> None:
    migrate(options)
    writer = ClickHouseWriter({**options, "database": "default"})
    assert current_epoch(writer, "nobody's group", [0]) == {0: 0}
    writer.close()

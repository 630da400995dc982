"""A spool's files against a list: whatever is cut off, flipped or killed, no wrong record, and none lost before it."""

import resource
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from producers.spool_files import POSITION, Place, list_segments, segment_path
from producers.spool_records import frame
from producers.spool_segments import SegmentStore
from schemas.errors import Misconfigured, Transient

LIMIT_BYTES = 100_000
SEGMENT_BYTES = 200


def open_store(directory: Path, limit_bytes: int = LIMIT_BYTES, segment_bytes: int = SEGMENT_BYTES) -> SegmentStore:
    return SegmentStore(directory, limit_bytes, say=lambda _: None, segment_bytes=segment_bytes)


def read_all(store: SegmentStore) -> list[tuple[Place, bytes]]:
    found: list[tuple[Place, bytes]] = []
    while more := store.read(64):
        found += more
    return found


def flip(path: Path, at: int, mask: int) -> None:
    content = bytearray(path.read_bytes())
    content[at] ^= mask
    path.write_bytes(content)


class StoreMachine(RuleBasedStateMachine):
    """The model is a list: all records that are on disk and sound, in order, of which so many are read and acked."""

    def __init__(self) -> None:
        super().__init__()
        self.root = Path(tempfile.mkdtemp(prefix="spool-"))
        self.lives = 0
        self.records: list[tuple[Place, bytes]] = []
        self.read = self.acked = 0
        self.saved = Place(0, 0)

    @initialize()
    def open(self) -> None:
        self.store = open_store(self.root / "0")

    @rule(bodies=st.lists(st.binary(max_size=60), min_size=1, max_size=8))
    def append(self, bodies: list[bytes]) -> None:
        self.records += [(self.store.append(body), body) for body in bodies]

    @rule(limit_bytes=st.integers(13, 400))
    def read_some(self, limit_bytes: int) -> None:
        found = self.store.read(limit_bytes)
        assert found == self.records[self.read : self.read + len(found)]
        assert found or self.read == len(self.records)
        self.read += len(found)

    @rule(count=st.integers(1, 10), notes=st.booleans())
    def acknowledge(self, count: int, notes: bool) -> None:
        if self.acked == self.read:
            self.read_some(1_000)
        count = min(count, self.read - self.acked)
        if count:
            self.acked += count
            self.store.acknowledge(self.records[self.acked - 1][0], count)
            if notes:
                self.store.save_position()
                self.saved = self.records[self.acked - 1][0]

    @rule()
    def sync(self) -> None:
        self.store.sync()

    @precondition(lambda self: self.read < len(self.records))
    @rule(data=st.data(), mask=st.integers(1, 255))
    def damage_what_is_not_read(self, data: st.DataObject, mask: int) -> None:
        place, body = data.draw(st.sampled_from(self.records[self.read :]))
        at = place.end - data.draw(st.integers(1, len(frame(body))))
        flip(segment_path(self.store.directory, place.segment), at, mask)
        self._lose(place.segment, at)
        assert read_all(self.store) == self.records[self.read :]
        self.read = len(self.records)
        assert self.store.take_damage()
        assert any(self.store.directory.glob("*.damaged"))

    @rule(torn=st.binary(min_size=1, max_size=50), cut=st.integers(1, 60))
    def crash_while_appending(self, torn: bytes, cut: int) -> None:
        directory = self._crash()
        segments = sorted(directory.glob("*.segment"))
        if segments:
            framed = frame(torn)
            with segments[-1].open("ab") as file:
                file.write(framed[: min(cut, len(framed) - 1)])
        self._reopen(directory, exact=True)

    @rule(data=st.data(), mask=st.integers(1, 255))
    def crash_and_damage(self, data: st.DataObject, mask: int) -> None:
        directory = self._crash()
        candidates = [path for path in directory.glob("*.segment") if path.stat().st_size]
        if candidates:
            path = data.draw(st.sampled_from(sorted(candidates)))
            at = data.draw(st.integers(0, path.stat().st_size - 1))
            flip(path, at, mask)
            self._lose(int(path.name[:10]), at)
        self._reopen(directory, exact=False)

    @rule(data=st.data(), mask=st.integers(1, 255))
    def crash_and_damage_the_position(self, data: st.DataObject, mask: int) -> None:
        directory = self._crash()
        position = directory / POSITION
        if position.exists():
            flip(position, data.draw(st.integers(0, position.stat().st_size - 1)), mask)
        else:
            position.write_bytes(b"9 9 \n")
        self._reopen(directory, exact=False)
        # Else the same flip once more would make it good again.
        position.unlink()
        self.saved = Place(0, 0)

    @invariant()
    def counts_agree(self) -> None:
        assert self.store.records == len(self.records) - self.acked
        assert sum(path.stat().st_size for path in self.store.directory.glob("*.segment")) <= LIMIT_BYTES

    def teardown(self) -> None:
        self.store.close()
        shutil.rmtree(self.root)

    def _lose(self, segment: int, at: int) -> None:
        gone = [found for found in self.records if found[0].segment == segment and found[0].end > at]
        self.acked -= sum(found in gone for found in self.records[: self.acked])
        self.records = [found for found in self.records if found not in gone]

    def _crash(self) -> Path:
        """Kill -9: what is on disk now is all that there is."""
        self.lives += 1
        directory = self.root / str(self.lives)
        shutil.copytree(self.store.directory, directory)
        self.store.close()
        return directory

    def _reopen(self, directory: Path, exact: bool) -> None:
        self.store = open_store(directory)
        found = read_all(self.store)
        wanted = len(self.records) - self.acked
        assert len(found) >= wanted and found == self.records[len(self.records) - len(found) :]
        if exact and self.acked and self.saved == self.records[self.acked - 1][0]:
            assert len(found) == wanted
        # What is gone is acknowledged, and its number may come again.
        there = set(list_segments(directory))
        self.records = [record for record in self.records if record[0].segment in there]
        self.read, self.acked = len(self.records), len(self.records) - len(found)


StoreMachine.TestCase.settings = settings(
    max_examples=80, stateful_step_count=25, deadline=None, suppress_health_check=list(HealthCheck)
)
TestStore = StoreMachine.TestCase


def test_what_is_acknowledged_is_deleted_and_nothing_else_is(tmp_path: Path) -> None:
    store = open_store(tmp_path)
    places = [store.append(b"x" * 100) for _ in range(5)]
    read_all(store)
    store.acknowledge(places[2], 3)
    assert [path.name[:10] for path in sorted(tmp_path.glob("*.segment"))] == ["0000000002", "0000000003"]
    store.acknowledge(places[4], 2)
    store.close()
    assert not list(tmp_path.glob("*.segment"))


def test_an_old_position_means_nothing_new(tmp_path: Path) -> None:
    store = open_store(tmp_path)
    place = store.append(b"first")
    read_all(store)
    store.acknowledge(place, 1)
    store.close()
    store = open_store(tmp_path)
    assert store.append(b"other").segment > place.segment
    store.close()
    store = open_store(tmp_path)
    assert [body for _, body in read_all(store)] == [b"other"]
    store.close()


def test_a_full_spool_takes_nothing_and_says_how_much_waits_until_room_is_made(tmp_path: Path) -> None:
    store = open_store(tmp_path, limit_bytes=400)
    places = []
    with pytest.raises(Transient, match=r"is full and takes no records: 3 wait for the broker in 336 bytes, .* 400 "):
        for _ in range(9):
            places.append(store.append(b"x" * 100))
    assert len(places) == 3 and len(read_all(store)) == 3
    store.acknowledge(places[-1], 3)
    store.append(b"y" * 300)
    store.close()


@contextmanager
def files_no_larger_than(size_bytes: int) -> Iterator[None]:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size_bytes, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_disk_that_takes_half_a_record_has_none_of_it(tmp_path: Path) -> None:
    store = open_store(tmp_path, segment_bytes=100_000)
    store.append(b"a" * 100)
    with files_no_larger_than(1000), pytest.raises(Transient, match="takes no records: File too large"):
        store.append(b"b" * 2000)
    assert store.write_errors == 1 and store.records == 1
    store.append(b"c" * 10)
    assert [body[:1] for _, body in read_all(store)] == [b"a", b"c"]
    copy = tmp_path / "copy"
    shutil.copytree(tmp_path, copy)
    said: list[str] = []
    again = SegmentStore(copy, LIMIT_BYTES, say=said.append)
    assert [body[:1] for _, body in read_all(again)] == [b"a", b"c"] and said == []
    again.close()
    store.close()


def test_after_a_failed_fsync_nothing_there_is_called_durable_and_nothing_more_is_written_there(tmp_path: Path) -> None:
    failing = [False]

    def sync_file(descriptor: int) -> None:
        if failing[0]:
            raise OSError(5, "Input/output error")

    store = SegmentStore(tmp_path, LIMIT_BYTES, say=lambda _: None, sync_file=sync_file)
    first = store.append(b"1")
    failing[0] = True
    with pytest.raises(Transient, match="cannot be made durable: the disk failed to write"):
        store.sync(first)
    failing[0] = False
    second = store.append(b"2")
    store.sync(second)
    with pytest.raises(Transient, match="cannot be made durable"):
        store.sync()
    assert second.segment > first.segment and store.write_errors == 1 and len(read_all(store)) == 2
    store.acknowledge(first, 1)
    store.sync()
    store.close()


def test_a_second_opener_is_turned_away_and_a_directory_that_is_none_is_told(tmp_path: Path) -> None:
    store = open_store(tmp_path / "spool")
    with pytest.raises(Misconfigured, match=r"is in use by process \d+: give each process a directory of its own"):
        open_store(tmp_path / "spool")
    store.close()
    open_store(tmp_path / "spool").close()
    (tmp_path / "file").write_text("")
    with pytest.raises(Misconfigured, match="cannot be used: File exists"):
        open_store(tmp_path / "file")


def test_what_was_cut_off_and_what_is_damaged_is_said_in_one_line_each(tmp_path: Path) -> None:
    store = open_store(tmp_path / "a", segment_bytes=10_000)
    for body in (b"one", b"two", b"three"):
        store.append(body)
    shutil.copytree(tmp_path / "a", tmp_path / "b")
    store.close()
    [cut] = (tmp_path / "a").glob("*.segment")
    cut.write_bytes(cut.read_bytes()[:-1])
    [damaged] = (tmp_path / "b").glob("*.segment")
    flip(damaged, 20, 1)
    for directory, kept, told in (
        ("a", 2, "its last record was cut off after 16 bytes, and is removed"),
        ("b", 1, "is damaged after byte 15: 32 bytes are set aside in 0000000001.v1.segment.15.damaged"),
    ):
        said: list[str] = []
        again = SegmentStore(tmp_path / directory, LIMIT_BYTES, say=said.append)
        assert len(read_all(again)) == kept and len(said) == 1 and told in said[0]
        again.close()
    [aside] = (tmp_path / "b").glob("*.damaged")
    assert aside.stat().st_size == 32 and aside.stat().st_mode & 0o777 == 0o600

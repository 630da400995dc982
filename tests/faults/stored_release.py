"""What a release left behind on its servers: tables, topics and positions, in a directory of `tests/data/releases`.

`release.json` says what it is, `state.tar.xz` holds the rest: each table of database `journeys` as ClickHouse's Native
format, the topics as they lay in Kafka, and the life that is delivered, of which the first part was.
"""

from __future__ import annotations

import io
import json
import tarfile
import urllib.error
import urllib.request
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlencode, urlsplit

from kafka import KafkaConsumer, TopicPartition
from kafka.admin import ConfigResource, ConfigResourceType, KafkaAdminClient

from schemas.topics import TOPICS, TOUCHPOINTS
from sinks.migrate import migrate, read_migrations
from sinks.tables import FILLED
from tests.integration.harness import ROOT, Feed, Platform
from tests.integration.warehouse import Delivery

RELEASES = ROOT / "tests/data/releases"
ABOUT = "release.json"
STATE = "state.tar.xz"
TABLES_SQL = "SELECT name FROM system.tables WHERE database = 'journeys' AND engine LIKE '%MergeTree' ORDER BY name"
AT_ONCE = 500


class Kept(NamedTuple):
    """One record as it lay in a topic."""

    topic: str
    partition: int
    offset: int
    stamped_ms: int
    record: Feed


@dataclass(frozen=True)
class Release:
    """`delivered` says how much of `life` the topics hold already; `positions` are the committed ones."""

    migration: int
    partitions: int
    settings: Mapping[str, str]
    positions: Mapping[tuple[str, int], int]
    delivered: int
    life: list[Delivery]
    topics: list[Kept]
    tables: Mapping[str, bytes]

    @property
    def rest(self) -> list[Delivery]:
        """What is still to be delivered."""
        return self.life[self.delivered :]


def take_release(platform: Platform, migration: int, life: list[Delivery], delivered: int) -> Release:
    """All that the servers hold, once no worker is left."""
    tables = {name: _ask_server(platform, f"SELECT * FROM journeys.{name} FORMAT Native") for name in _tables(platform)}
    return Release(
        migration, platform.partitions, platform.settings, platform.committed(), delivered, life,
        list(_read_topics(platform)), tables,
    )  # fmt: skip


def restore_release(platform: Platform, release: Release) -> None:
    """Make the servers of a platform, on which nothing has happened yet, what those of the release were."""
    empty_server(platform)
    migrate(platform.clickhouse_options, up_to=release.migration)
    assert set(_tables(platform)) == release.tables.keys()
    # Others fill these while they are loaded themselves.
    for name in sorted(release.tables, key=lambda name: f"journeys.{name}" in FILLED):
        platform.query(f"TRUNCATE TABLE journeys.{name}")
        _ask_server(platform, f"INSERT INTO journeys.{name} FORMAT Native", release.tables[name])
    _take_any_time(platform)
    _fill_topics(platform, release.topics)
    platform.commit(release.positions)


def empty_server(platform: Platform) -> None:
    """Drop what a platform's own start has made of tables; from now on nothing expires or is merged away."""
    for database in ("analytics", "journeys"):
        platform.query(f"DROP DATABASE IF EXISTS {database} SYNC")
    platform.query("SYSTEM STOP MERGES")


def save_release(release: Release, directory: Path, **more: Any) -> None:
    """Write a release's files; `more` goes to what is said about it."""
    directory.mkdir(parents=True, exist_ok=True)
    about = {
        **more,
        "migration": release.migration,
        "partitions": release.partitions,
        "settings": dict(release.settings),
        "delivered": release.delivered,
        "positions": sorted([topic, number, offset] for (topic, number), offset in release.positions.items()),
    }
    (directory / ABOUT).write_text(json.dumps(about, indent=1) + "\n", "utf-8")
    with tarfile.open(directory / STATE, "w:xz", preset=9) as archive:
        _add(archive, "life.ndjson", _to_lines(_life_to_json(each) for each in release.life))
        _add(archive, "topics.ndjson", _to_lines(_kept_to_json(each) for each in release.topics))
        for name, content in release.tables.items():
            _add(archive, f"tables/{name}.native", content)


def load_release(directory: Path) -> Release:
    """The release whose files these are."""
    about = json.loads((directory / ABOUT).read_text("utf-8"))
    with tarfile.open(directory / STATE, "r:xz") as archive:
        files = {member.name: _content(archive, member) for member in archive}
    return Release(
        about["migration"],
        about["partitions"],
        about["settings"],
        {(topic, number): offset for topic, number, offset in about["positions"]},
        about["delivered"],
        [_life_of_json(*json.loads(line)) for line in files.pop("life.ndjson").splitlines()],
        [_kept_of_json(*json.loads(line)) for line in files.pop("topics.ndjson").splitlines()],
        {Path(name).stem: content for name, content in files.items()},
    )


def last_migration(code: Path) -> int:
    """The number of the last migration of a checkout."""
    return max(each.version for each in read_migrations(code / "sinks/migrations"))


def _tables(platform: Platform) -> list[str]:
    return [name for (name,) in platform.query(TABLES_SQL)]


def _ask_server(platform: Platform, statement: str, body: bytes = b"") -> bytes:
    """The answer to a statement as bytes. Raises AssertionError with what ClickHouse says of a bad one."""
    user = urlsplit(platform.stack.clickhouse_url)
    headers = {"X-ClickHouse-User": user.username or "", "X-ClickHouse-Key": user.password or ""}
    url = f"{platform.stack.clickhouse_http_url}?{urlencode({'query': statement})}"
    try:
        with urllib.request.urlopen(urllib.request.Request(url, body, headers), timeout=60) as answer:
            return bytes(answer.read())
    except urllib.error.HTTPError as error:
        raise AssertionError(f"{statement}: {error.read().decode('utf-8', 'replace')}") from None


def _read_topics(platform: Platform) -> Iterator[Kept]:
    """All records of all topics, each partition from its beginning to its end without a hole."""
    consumer = KafkaConsumer(**platform.kafka_options, enable_auto_commit=False, metrics_enabled=False)
    try:
        for topic in sorted(spec.name for spec in TOPICS):
            for number in sorted(consumer.partitions_for_topic(topic) or ()):
                yield from _read_partition(consumer, TopicPartition(topic, number))
    finally:
        consumer.close(autocommit=False)


def _read_partition(consumer: Any, place: TopicPartition) -> list[Kept]:
    consumer.assign([place])
    consumer.seek_to_beginning(place)
    found: list[Kept] = []
    # The memory-only broker says too little of where it ends, so the end is where nothing more comes.
    while records := consumer.poll(timeout_ms=1_000).get(place):
        found += [
            Kept(
                each.topic, each.partition, each.offset, each.timestamp, Feed(each.key, each.value, tuple(each.headers))
            )
            for each in records
        ]
    assert [each.offset for each in found] == list(range(len(found))), f"{place} has holes"
    return found


def _take_any_time(platform: Platform) -> None:
    """Apache Kafka deletes records as old as a release within a minute, and refuses those of a life in the future."""
    if platform.kafka == "apache":
        settings = {"retention.ms": "-1", "message.timestamp.after.max.ms": str(2**63 - 1)}
        topics = [ConfigResource(ConfigResourceType.TOPIC, spec.name, settings) for spec in TOPICS]
        admin = KafkaAdminClient(**platform.kafka_options)
        admin.alter_configs(topics)
        admin.close()


def _fill_topics(platform: Platform, topics: Iterable[Kept]) -> None:
    """Send the records again, so that each lies where it lay."""
    by_offset = sorted(topics, key=lambda each: (each.topic, each.partition, each.offset))
    for start in range(0, len(by_offset), AT_ONCE):
        part = by_offset[start : start + AT_ONCE]
        sent = [
            platform.producer.send(
                each.topic, each.record.value, each.record.key, list(each.record.headers),
                partition=each.partition, timestamp_ms=each.stamped_ms,
            )
            for each in part
        ]  # fmt: skip
        platform.producer.flush(30)
        for each, future in zip(part, sent, strict=True):
            assert future.get(timeout=30).offset == each.offset, each
            if each.topic == TOUCHPOINTS:
                platform.note_end(future.value)


def _life_to_json(each: Delivery) -> list[Any]:
    return [each.topic, each.stamped_ms, *_feed_to_json(each.record)]


def _life_of_json(topic: str, stamped_ms: int, *feed: Any) -> Delivery:
    return Delivery(topic, _feed_of_json(*feed), stamped_ms)


def _kept_to_json(each: Kept) -> list[Any]:
    return [each.topic, each.partition, each.offset, each.stamped_ms, *_feed_to_json(each.record)]


def _kept_of_json(topic: str, partition: int, offset: int, stamped_ms: int, *feed: Any) -> Kept:
    return Kept(topic, partition, offset, stamped_ms, _feed_of_json(*feed))


def _feed_to_json(feed: Feed) -> list[Any]:
    return [_to_text(feed.key), _to_text(feed.value), [[name, _to_text(value)] for name, value in feed.headers]]


def _feed_of_json(key: str | None, value: str | None, headers: list[list[str]]) -> Feed:
    return Feed(_to_bytes(key), _to_bytes(value), tuple((name, _to_bytes(each) or b"") for name, each in headers))


def _to_text(raw: bytes | None) -> str | None:
    return None if raw is None else raw.decode("utf-8", "surrogateescape")


def _to_bytes(text: str | None) -> bytes | None:
    return None if text is None else text.encode("utf-8", "surrogateescape")


def _to_lines(rows: Iterable[list[Any]]) -> bytes:
    return b"".join(json.dumps(row).encode() + b"\n" for row in rows)


def _add(archive: tarfile.TarFile, name: str, content: bytes) -> None:
    entry = tarfile.TarInfo(name)
    entry.size = len(content)
    archive.addfile(entry, io.BytesIO(content))


def _content(archive: tarfile.TarFile, member: tarfile.TarInfo) -> bytes:
    opened = archive.extractfile(member)
    assert opened is not None, member.name
    return opened.read()

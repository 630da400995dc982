"""`journeys identity` against a real ClickHouse and a real broker; a thread stands in for the worker that decides."""

import csv
import io
import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

import pytest
from kafka import KafkaConsumer, TopicPartition

from console.identity_names import show_key
from deploy.local.stack import LocalStack
from deploy.services import clickhouse_client_options
from producers.topics import create_topics
from schemas.identifiers import Pseudonymiser
from schemas.links import Link, decode_link
from schemas.partitioning import partition_of
from schemas.settings import Settings
from schemas.topics import IDENTITY_LINKS as TOPIC
from sinks.migrate import migrate
from sinks.tables import IDENTITY_LINKS, IDENTITY_OWNERS, TOUCHPOINTS, Table
from sinks.writer import ClickHouseWriter
from tests.console.identity_samples import CUSTOMER, SECOND, TABLET, at_ms, link_row, owner_row
from tests.console.running import journeys, one_line, run_here
from tests.sinks.rows import columns

pytestmark = [pytest.mark.integration, pytest.mark.timeout(360)]

PARTITIONS = 3
DANA = "email:" + Pseudonymiser(b"secret", "k1", "IL").hide("email", "dana@example.org")
VISITOR = "anonymous_id:a-9"
NOTHING: dict[str, Any] = {"rule": "", "source": "", "event_id": "", "linked_at_ms": 0}
OWNERS = (
    owner_row(DANA, CUSTOMER),
    owner_row(VISITOR, DANA, minutes=-30, event_id="e2"),
    owner_row("device_id:d-1", CUSTOMER, "conflict", customers=2),
    owner_row(TABLET, "", "flagged", customers=9, **NOTHING),
    owner_row("customer_id:C-9", CUSTOMER, rule="merged", source="support", event_id="m1"),
)
LINKS = (
    link_row(DANA, CUSTOMER),
    link_row(DANA, CUSTOMER, minutes=-50, event_id="e5"),
    link_row(VISITOR, DANA, minutes=-30, event_id="e2"),
    link_row("device_id:d-1", CUSTOMER),
    link_row("device_id:d-1", SECOND, minutes=-20, event_id="e3"),
    *(link_row(TABLET, f"customer_id:C-{number}", minutes=number) for number in range(9)),
    link_row("customer_id:C-9", CUSTOMER, "merged", source="support", event_id="m1", reason="opened twice"),
)


def touchpoint(event_id: str, customer: str, kind: str = "identified", minutes: float = -60) -> dict[str, Any]:
    said = {"customer_id": customer, "source": "web", "event_id": event_id, "type": kind}
    return {**said, "occurred_at_ms": at_ms(minutes), "received_at_ms": at_ms(minutes)}


class Registry:
    """Servers with a few identifiers in them, and the commands that are asked there."""

    def __init__(self, stack: LocalStack, directory: Path) -> None:
        self.stack = stack
        self.directory = directory
        self.clickhouse = ClickHouseWriter(clickhouse_client_options(stack.clickhouse_url, Settings()))

    def ask(self, *arguments: str) -> CompletedProcess[str]:
        return run_here("--data-dir", str(self.directory / ".journeys"), "identity", *arguments)

    def told(self, *arguments: str) -> str:
        done = self.ask(*arguments)
        assert (done.returncode, done.stderr) == (0, ""), done.stderr
        return done.stdout

    def json(self, *arguments: str) -> Any:
        return json.loads(self.told(*arguments, "--json"))

    def put(self, table: Table, *rows: dict[str, Any]) -> None:
        self.clickhouse.insert(table, columns(table, rows))

    @contextmanager
    def reading(self) -> Iterator[Callable[[], list[tuple[int, Link, bytes]]]]:
        """Yield what returns the links that the topic has got since, with their partitions and keys."""
        places = [TopicPartition(TOPIC, number) for number in range(PARTITIONS)]
        consumer = KafkaConsumer(bootstrap_servers=self.stack.kafka, group_id=None, enable_auto_commit=False)
        try:
            consumer.assign(places)
            consumer.seek_to_beginning()
            while sum(map(len, consumer.poll(200).values())):
                pass

            def read() -> list[tuple[int, Link, bytes]]:
                polled = [record for _ in range(3) for found in consumer.poll(150).values() for record in found]
                return [(each.partition, decode_link(each.value), each.key) for each in polled]

            yield read
        finally:
            consumer.close()

    @contextmanager
    def worker(self, decide: Callable[[Link], dict[str, Any]]) -> Iterator[None]:
        """Take links as a worker does: write them down, then what is decided."""
        stopped = threading.Event()

        def work() -> None:
            with self.reading() as read:
                ready.set()
                while not stopped.is_set():
                    for _, link, _ in read():
                        moment = {"occurred_at_ms": link.occurred_ms}
                        said = {name: getattr(link, name) for name in ("source", "event_id", "by", "reason")}
                        self.put(IDENTITY_LINKS, link_row(link.identifier, link.owner, link.rule, **moment, **said))
                        self.put(IDENTITY_OWNERS, decide(link))

        ready = threading.Event()
        thread = threading.Thread(target=work)
        thread.start()
        try:
            assert ready.wait(20)
            yield
        finally:
            stopped.set()
            thread.join()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Registry]:
    directory = tmp_path_factory.mktemp("identity")
    with LocalStack(directory / ".journeys") as stack:
        found = Registry(stack, directory)
        migrate(clickhouse_client_options(stack.clickhouse_url, Settings()))
        create_topics({"bootstrap_servers": stack.kafka}, PARTITIONS)
        seen = [touchpoint("e1", "C-1"), touchpoint("e2", "C-1", "page_viewed", -30), touchpoint("e7", "device_id:new")]
        found.put(TOUCHPOINTS, *seen)
        yield found
        found.clickhouse.close()


@pytest.fixture
def registry(server: Registry, monkeypatch: pytest.MonkeyPatch) -> Registry:
    """The identifiers as they are before anybody has done anything."""
    monkeypatch.setenv("JOURNEYS_IDENTIFIER_KEY", "secret")
    for table in (IDENTITY_LINKS, IDENTITY_OWNERS):
        server.clickhouse.query(f"TRUNCATE TABLE {table.name}")
    server.put(IDENTITY_LINKS, *LINKS)
    server.put(IDENTITY_OWNERS, *OWNERS)
    return server


def test_all_around_one_identifier_is_shown(registry: Registry) -> None:
    text = registry.told("show", "email:Dana@Example.org")
    assert text.startswith("customer C-1  5 identifiers · 2 touchpoints\n")
    assert f"► {show_key(DANA)}  linked · seen together · web/e1 identified · 2026-11-21 11:00:00 · 1 owner" in text
    assert "│   └── anonymous_id:a-9  linked · seen together · web/e2 page_viewed" in text
    assert "support merged it into C-1, 2026-11-21 11:00:00: opened twice" in text
    ours, others = text.split("Seen with them, and not theirs\n")
    assert "device_id:d-1  conflict" in ours and "stays with the earliest, C-1" in ours
    assert "device_id:tablet  flagged · 9 owners" in others and "and 3 more" in others


def test_any_member_a_bare_customer_and_the_beginning_of_a_hidden_one_name_it_as_well(registry: Registry) -> None:
    for name in ("C-1", "customer_id:C-1", VISITOR, show_key(DANA), DANA, "C-9"):
        assert registry.json("show", name)["customer"] == "C-1", name
    member = {each["identifier"]: each for each in registry.json("show", VISITOR)["members"]}
    assert (member[DANA]["depth"], member[VISITOR]["depth"], member[VISITOR]["type"]) == (1, 2, "page_viewed")
    assert [each["times"] for each in member[DANA]["seen_with"]] == [2]


def test_one_that_was_hidden_under_a_key_of_before_is_found(
    registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("JOURNEYS_IDENTIFIER_KEY", "newer")
    monkeypatch.setenv("JOURNEYS_IDENTIFIER_KEY_ID", "k2")
    monkeypatch.setenv("JOURNEYS_IDENTIFIER_PREVIOUS_KEYS", '{"k1": "secret"}')
    assert registry.json("show", "email:dana@example.org")["identifier"] == DANA


def test_a_limit_cuts_the_family_and_says_so(registry: Registry) -> None:
    registry.put(IDENTITY_OWNERS, *(owner_row(f"device_id:x{number}", CUSTOMER) for number in range(30)))
    cut = registry.json("show", VISITOR, "--limit", "10")
    names = [each["identifier"] for each in cut["members"]]
    assert not cut["is_whole"] and len(names) < 20 and {CUSTOMER, DANA, VISITOR} <= set(names)
    assert "--limit 0 shows all" in registry.told("show", VISITOR, "--limit", "10")
    whole = registry.json("show", VISITOR, "--limit", "0")
    assert whole["is_whole"] and len(whole["members"]) == 35


def test_a_chain_of_fifty_is_followed_to_its_end(registry: Registry) -> None:
    ids = [f"customer_id:K-{number}" for number in range(51)]
    registry.put(IDENTITY_OWNERS, *(owner_row(one, other) for one, other in zip(ids, ids[1:], strict=False)))
    found = registry.json("show", "K-0")
    assert found["customer"] == "K-50" and found["path"] == ids
    registry.put(IDENTITY_OWNERS, owner_row(ids[-1], ids[0], "loop"))
    assert len(registry.json("show", "K-7")["members"]) == 51


def test_two_are_one_customer_or_nothing_joins_them(registry: Registry) -> None:
    lines = registry.told("show", VISITOR, "C-9").splitlines()
    assert lines[0] == "anonymous_id:a-9 and C-9 are one customer, C-1:" and len(lines) == 5
    apart = registry.told("show", "device_id:d-1", "C-2")
    assert apart.startswith("Nothing joins device_id:d-1 and C-2\n")
    assert "device_id:d-1 was seen with C-2 once" in apart
    found = registry.json("show", VISITOR, "C-1")
    assert found["is_one"] and found["paths"] == [[VISITOR, DANA, CUSTOMER], [CUSTOMER]]


def test_one_that_has_touchpoints_only_is_known_and_others_are_not(registry: Registry) -> None:
    assert registry.told("show", "device_id:new").startswith("► provisional customer device_id:new")
    assert registry.told("show", "C-7").startswith("► customer C-7"), "a link names it"
    bare = registry.ask("show", "a-9")
    assert bare.returncode == 1 and one_line(bare.stderr).endswith("did you mean anonymous_id:a-9?")
    done = registry.ask("show", "device_id:old")
    assert done.returncode == 1 and "nothing is known of device_id:old" in one_line(done.stderr)


def test_the_list_can_be_narrowed_and_has_each_format(registry: Registry) -> None:
    text = registry.told("list", "--limit", "2")
    assert text.splitlines()[-1] == "5 identifiers, of which the latest 2 are shown: --limit 0 shows all"
    found = registry.json("list", "--status", "conflict", "--status", "flagged")
    assert [each["identifier"] for each in found] == ["device_id:d-1", TABLET]
    rows = list(csv.DictReader(io.StringIO(registry.told("list", "--kind", "email", "--format", "csv"))))
    assert [(row["identifier"], row["owner"]) for row in rows] == [(DANA, CUSTOMER)]
    assert registry.told("list", "--kind", "phone") == "0 identifiers\n"


def test_quality_is_told(registry: Registry) -> None:
    text = registry.told("quality")
    assert "identifiers known" in text and "time to merge, median" in text
    (found,) = registry.json("quality")
    assert (found["identifiers"], found["flagged"], found["provisional_customers"]) == (5, 1, 1)
    assert registry.told("quality", "--format", "csv").startswith("identifiers,linked,")


def test_an_unlink_waits_for_the_worker_and_says_what_came_of_it(registry: Registry) -> None:
    def decide(link: Link) -> dict[str, Any]:
        return owner_row(link.identifier, "", "unlinked", _version=2, **NOTHING)

    with registry.worker(decide), registry.reading() as read:
        told = registry.told(
            "unlink", "email:dana@example.org", "C-1", "--reason", "two sisters", "--by", "Noa", "--wait", "20s"
        )
        assert told == f"{show_key(DANA)}: no longer belongs to C-1, but to nobody (unlinked)\n"
        ((partition, link, key),) = read()
    assert partition == partition_of(DANA.encode(), PARTITIONS) and key == link.record_key
    assert (link.rule, link.owner, link.by, link.reason) == ("unlinked", CUSTOMER, "Noa", "two sisters")
    assert "Noa unlinked it from C-1" in registry.told("show", VISITOR)
    again = registry.told("unlink", DANA, "C-1", "--reason", "again")
    assert again.startswith(f"{show_key(DANA)}: already unlinked from C-1 by Noa, ")


def test_a_relink_that_the_worker_does_not_follow_ends_with_1(registry: Registry) -> None:
    with registry.worker(lambda link: owner_row(TABLET, SECOND if link.by == "Noa" else CUSTOMER, _version=2)):
        arguments = ("relink", TABLET, "C-2", "--reason", "hers", "--wait", "20s", "--json")
        done = registry.json(*arguments[:-1], "--by", "Noa")
        assert done["new"] and done["decided"] and done["decision"]["owner"] == SECOND
        refused = registry.ask(*arguments, "--by", "Dan", "--force")
    assert refused.returncode == 1 and json.loads(refused.stdout)["decision"]["owner"] == CUSTOMER


def test_without_a_worker_an_act_is_recorded_and_says_just_that(registry: Registry) -> None:
    began = time.monotonic()
    with registry.reading() as read:
        told = registry.told("unlink", VISITOR, DANA, "--reason", "library")
        assert "recorded in Kafka; no worker has decided yet" in told
        assert [link.identifier for _, link, _ in read()] == [VISITOR]
    assert time.monotonic() - began < 20, "a local stack without workers is not waited for"
    found = registry.json("relink", VISITOR, "C-2", "--reason", "x", "--wait", "0s")
    assert (found["decided"], found["decision"]) == (False, None)


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("unlink", DANA, "C-2"), f"no link joins {show_key(DANA)} and C-2: `journeys identity show"),
        (("unlink", VISITOR, "C-1"), f"`unlink anonymous_id:a-9 {show_key(DANA)}` or `unlink {show_key(DANA)} C-1`"),
        (("unlink", "C-1", DANA), "write it the other way round"),
        (("relink", "C-1", "C-9"), "would make a circle"),
        (("unlink", DANA, "C-1", "--reason", " "), "--reason must not be empty"),
        (("unlink", DANA, "C-1", "--wait", "soon"), "'soon' is no duration"),
        (("unlink", "email:hmac-sha256:k1:ffffffff", "C-1"), "no identifier begins with"),
    ],
    ids=lambda each: "" if isinstance(each, str) else each[0],
)
def test_misuse_is_one_line_and_records_nothing(registry: Registry, arguments: tuple[str, ...], told: str) -> None:
    reason = () if "--reason" in arguments else ("--reason", "x")
    with registry.reading() as read:
        done = registry.ask(*arguments, *reason)
        assert done.returncode == 1 and done.stdout == "" and told in one_line(done.stderr)
        assert read() == []


class Terminal(io.StringIO):
    """Somebody who answers."""

    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(("answer", "code", "recorded"), [("n\n", 130, 0), ("y\n", 0, 1)])
def test_on_a_terminal_it_asks_first(
    registry: Registry, monkeypatch: pytest.MonkeyPatch, answer: str, code: int, recorded: int
) -> None:
    monkeypatch.setattr("sys.stdin", Terminal(answer))
    with registry.reading() as read:
        done = registry.ask("unlink", VISITOR, DANA, "--reason", "x", "--wait", "0s")
        assert done.returncode == code and "Keep it from" in done.stderr
        assert len(read()) == recorded


def test_a_forced_unlink_of_two_that_nothing_joins_is_recorded(registry: Registry) -> None:
    with registry.reading() as read:
        registry.told("unlink", DANA, "C-2", "--reason", "never", "--force", "--yes")
        assert [(link.identifier, link.owner) for _, link, _ in read()] == [(DANA, SECOND)]


def test_a_kafka_that_does_not_answer_is_one_line(registry: Registry) -> None:
    kept = {"KAFKA": "127.0.0.1:1", "JOURNEYS_IDENTIFIER_KEY": "secret"}
    done = journeys("identity", "unlink", DANA, "C-1", "--reason", "x", cwd=registry.directory, changed=kept)
    assert done.returncode == 1 and "no Kafka server answers at 127.0.0.1:1" in one_line(done.stderr)


def test_a_missing_key_is_one_clear_line(registry: Registry, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("JOURNEYS_IDENTIFIER_KEY")
    done = registry.ask("show", "email:dana@example.org")
    assert done.returncode == 1 and "set JOURNEYS_IDENTIFIER_KEY" in one_line(done.stderr)


@pytest.mark.parametrize("part", ["show", "list", "unlink", "relink", "quality"])
def test_help_has_an_example(registry: Registry, part: str) -> None:
    assert f"journeys identity {part}" in registry.told(part, "--help").split("Examples:")[1]

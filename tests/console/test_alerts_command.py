"""`journeys alerts` against a real ClickHouse and a real broker, as people use it one command after the other."""

import csv
import getpass
import io
import json
import random
import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any
from uuid import UUID

import pytest
from kafka import KafkaConsumer, TopicPartition

from console.alert_actions import effective_status, fold, list_silences, silencing
from console.alert_store import Ask, asking, read_actions, write_actions
from deploy.local.stack import LocalStack
from deploy.services import clickhouse_client_options
from producers.topics import create_topics
from schemas.alert_action import ACTIONS, SILENCING, AlertAction
from schemas.moments import to_epoch_ms
from schemas.settings import Settings
from schemas.topics import ALERT_ACTIONS
from sinks.migrate import migrate
from sinks.tables import ALERT_ACTIONS as ACTIONS_TABLE
from sinks.tables import ALERTS, SEPARATOR, TOUCHPOINTS
from sinks.writer import ClickHouseWriter
from tests.console.running import journeys, one_line, run_here
from tests.sinks.rows import columns

pytestmark = [pytest.mark.integration, pytest.mark.timeout(360)]

NOW_MS = to_epoch_ms(datetime.now(UTC))
MINUTE_MS = 60_000
ME = getpass.getuser()
WAIT, LOOK = "aaaa1111-0000-4000-8000-000000000000", "aaaa2222-0000-4000-8000-000000000000"
PRAISE, OLD = "bbbb1111-0000-4000-8000-000000000000", "cccc1111-0000-4000-8000-000000000000"
WORDS = {"reason_en": "waited 12.5 min", "reason_he": "המתין", "title_en": "Long wait", "advice_en": "open a till"}


class Office:
    """Servers with a few alerts in them, and the commands that are asked there."""

    def __init__(self, stack: LocalStack, directory: Path) -> None:
        self.stack = stack
        self.directory = directory
        self.options = clickhouse_client_options(stack.clickhouse_url, Settings())
        self.clickhouse = ClickHouseWriter(self.options)

    def ask(self, *arguments: str) -> CompletedProcess[str]:
        return run_here("--data-dir", str(self.directory / ".journeys"), "alerts", *arguments)

    def listed(self, *arguments: str) -> list[str]:
        done = self.ask("list", "--json", *arguments)
        assert done.returncode == 0, done.stderr
        return [row["episode_id"] for row in json.loads(done.stdout)]

    def told(self, *arguments: str) -> str:
        done = self.ask(*arguments)
        assert (done.returncode, done.stderr) == (0, ""), done.stderr
        return done.stdout

    def published(self) -> list[AlertAction]:
        """All records of the topic."""
        place = TopicPartition(ALERT_ACTIONS, 0)
        consumer = KafkaConsumer(bootstrap_servers=self.stack.kafka, group_id=None, enable_auto_commit=False)
        try:
            consumer.assign([place])
            consumer.seek_to_beginning()
            # The local broker states its end too low by up to a batch: reading stops when nothing more comes.
            found = [record for _ in range(8) for records in consumer.poll(250).values() for record in records]
        finally:
            consumer.close()
        assert all(record.key.decode() == json.loads(record.value)["action_id"] for record in found)
        return [AlertAction.model_validate_json(record.value) for record in found]


def alert(episode_id: str, rule: str, minutes: float, **more: Any) -> dict[str, Any]:
    at_ms = NOW_MS + int(minutes * MINUTE_MS)
    times = {"opened_at_ms": at_ms, "last_seen_at_ms": at_ms, "detected_at_ms": at_ms}
    said = {"episode_id": episode_id, "rule": rule, "status": "open", "severity": "warning", "kind": "friction"}
    return {**said, **times, "affected": -1, "unit": "seconds", "customer_id": "C-1", "_version": 1, **WORDS, **more}


def touchpoint(event_id: str, minutes: float) -> dict[str, Any]:
    at_ms = NOW_MS + int(minutes * MINUTE_MS)
    said = {"customer_id": "C-1", "source": "store", "event_id": event_id, "type": "queue_joined"}
    return {**said, "occurred_at_ms": at_ms, "received_at_ms": at_ms, "properties": '{"queue": "tills"}'}


@pytest.fixture(scope="module")
def office(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Office]:
    directory = tmp_path_factory.mktemp("office")
    with LocalStack(directory / ".journeys") as stack:
        office = Office(stack, directory)
        migrate(office.options)
        create_topics({"bootstrap_servers": stack.kafka}, 1)
        proof = SEPARATOR.join(["store/e1", "store/e2"])
        rows = [
            alert(WAIT, "long_wait", -1, severity="critical", store_id="S-1", evidence_joined=proof, actual=750.0),
            alert(LOOK, "wismo", -180, customer_id="C-2"),
            alert(PRAISE, "promoter", -5, status="resolved", kind="delight", resolved_at_ms=NOW_MS),
            alert(OLD, "long_wait", -60, status="resolved", resolved_at_ms=NOW_MS),
        ]
        office.clickhouse.insert(ALERTS, columns(ALERTS, rows))
        office.clickhouse.insert(TOUCHPOINTS, columns(TOUCHPOINTS, [touchpoint("e1", -13)]))
        yield office
        office.clickhouse.close()


@pytest.fixture
def fresh(office: Office) -> Office:
    """The office before anybody has done anything."""
    office.clickhouse.query(f"TRUNCATE TABLE {ACTIONS_TABLE.name}")
    return office


def test_the_list_shows_what_is_open_and_can_be_narrowed(fresh: Office) -> None:
    assert fresh.listed() == [WAIT, LOOK]
    assert fresh.listed("--all") == [WAIT, PRAISE, OLD, LOOK]
    assert fresh.listed("--kind", "delight") == [PRAISE]
    assert fresh.listed("--since", "2h", "--status", "open", "--status", "resolved") == [WAIT, PRAISE, OLD]
    assert fresh.listed("--customer", "C-1", "--store", "S-1", "--severity", "critical") == [WAIT]
    assert fresh.listed("--rule", "long_wait", "--rule", "wismo", "--all", "--limit", "2") == [WAIT, OLD]


def test_the_list_as_a_table_and_as_csv(fresh: Office) -> None:
    table = fresh.told("list", "--limit", "1")
    assert "\x1b" not in table and table.splitlines()[-1].startswith("2 alerts, of which the newest 1 are shown")
    assert f"{WAIT[:8]} " in table and re.search("▲ +C-1 +long_wait at S-1: waited", table)
    rows = list(csv.DictReader(io.StringIO(fresh.told("list", "--format", "csv"))))
    assert [row["episode_id"] for row in rows] == [WAIT, LOOK] and rows[0]["silenced"] == "false"


def test_one_alert_in_full(fresh: Office) -> None:
    fresh.told("note", "aaaa1", "--note", "calling them", "--by", "Noa")
    text = fresh.told("show", "aaaa1")
    assert re.search(rf"^id +{WAIT}$", text, re.MULTILINE) and "12.5 min" in text and "open a till" in text
    assert "queue_joined" in text and "store/e2" in text and "not stored yet" in text
    assert text.rstrip().endswith("Noa noted: calling them")
    assert "המתין" in fresh.told("show", WAIT, "--lang", "he")
    found = json.loads(fresh.told("show", WAIT.upper(), "--json"))
    assert found["episode_id"] == WAIT and found["notes"] == ["calling them"]
    assert [(each["event_id"], each["properties"]) for each in found["evidence_touchpoints"]] == [
        ("e1", {"queue": "tills"})
    ]
    assert [(each["action"], each["note"]) for each in found["actions"]] == [("note", "calling them")]


def test_what_people_do_is_kept_shown_and_published_once(fresh: Office) -> None:
    before = len(fresh.published())
    assert fresh.told("ack", WAIT, "aaaa2", WAIT[:6]).splitlines() == [f"{each}: acknowledged" for each in (WAIT, LOOK)]
    again = fresh.told("ack", "aaaa1")
    assert again.startswith(f"{WAIT}: already acknowledged by {ME}, ")
    assert fresh.told("assign", "aaaa1", "--to", "Dan", "--by", "Noa") == f"{WAIT}: assigned to Dan\n"
    done = json.loads(fresh.told("resolve", "aaaa1", "--by", "Noa", "--note", "paid back", "--json"))
    assert done["published"] and [(each["new"], each["action"]) for each in done["actions"]] == [(True, "resolve")]
    assert fresh.listed() == [LOOK]
    row = fresh.clickhouse.query(
        "SELECT acknowledged_by, assigned_to, human_resolved_by, notes, status, effective_status"
        f" FROM analytics.alerts WHERE episode_id = '{WAIT}'"
    )
    assert row == [(ME, "Dan", "Noa", ["paid back"], "open", "resolved")]
    fresh.told("reopen", "aaaa1")
    fresh.told("unack", "aaaa1")
    assert fresh.told("unack", "aaaa1").startswith(f"{WAIT}: the acknowledgement was already taken back by")
    assert fresh.listed() == [WAIT, LOOK]
    sent = fresh.published()[before:]
    assert [each.action for each in sent] == ["ack", "ack", "ack", "assign", "resolve", "reopen", "unack", "unack"]
    assert len({each.action_id for each in sent}) == 6, "what stood already was sent again under its own id"


def test_a_silence_hides_what_it_matches_until_it_ends(fresh: Office) -> None:
    told = fresh.told("silence", "--rule", "long_wait", "--store", "S-1", "--for", "2h", "--note", "stock-taking")
    assert told.startswith("rule long_wait, store S-1: silenced until ") and told.endswith(", hides 1 open alert\n")
    assert fresh.listed() == [LOOK] and WAIT in fresh.listed("--all")
    assert fresh.told("list").splitlines()[-1] == "1 alert; silenced and not shown: 1 (--all shows them)"
    assert f"by {ME}: stock-taking" in fresh.told("show", WAIT)
    other = fresh.ask("unsilence", "--rule", "long_wait")
    assert other.returncode == 1
    assert "nobody has silenced just that; in force: rule long_wait, store S-1 until" in one_line(other.stderr)
    assert "silence ended" in fresh.told("unsilence", "--rule", "long_wait", "--store", "S-1")
    assert "the silence was already ended by" in fresh.told("unsilence", "--rule", "long_wait", "--store", "S-1")
    assert fresh.listed() == [WAIT, LOOK]


def test_silences_are_listed_with_what_they_hide(fresh: Office) -> None:
    assert fresh.told("silences") == "0 silences in force (--all shows those that have ended)\n"
    for rule, note in (("wismo", "a"), ("long_wait", "stock-taking")):
        fresh.told("silence", "--rule", rule, "--for", "2h", "--note", note, "--by", "Noa")
    fresh.told("unsilence", "--rule", "wismo")
    found = json.loads(fresh.told("silences", "--json"))
    assert [(each["rule"], each["by"], each["note"], each["open_alerts"]) for each in found] == [
        ("long_wait", "Noa", "stock-taking", 1)
    ]
    rows = list(csv.DictReader(io.StringIO(fresh.told("silences", "--all", "--format", "csv"))))
    assert [(row["rule"], row["in_force"], row["open_alerts"]) for row in rows] == [
        ("long_wait", "true", "1"), ("wismo", "false", "0"),
    ]  # fmt: skip
    table = fresh.told("silences", "--all")
    assert re.search(rf"{found[0]['silence_id'][:8]} +rule long_wait +2\S+ \S+ +Noa +1 +stock-taking", table)
    assert table.splitlines()[-1] == "1 silence in force, 1 ended"


@pytest.mark.parametrize(
    ("named", "told"),
    [
        (("--store", "S-999"), "hidden: no alert has ever had --store S-999"),
        (("--customer", "C-*"), "no alert has ever had --customer C-*; * stands for itself, as there are no wildcards"),
        (("--rule", "promoter"), "warning: no alert that is open now is hidden"),
    ],
)
def test_a_silence_that_hides_nothing_is_taken_with_a_warning(fresh: Office, named: tuple[str, ...], told: str) -> None:
    done = fresh.ask("silence", *named, "--for", "1h")
    assert done.returncode == 0 and done.stdout.endswith(", hides 0 open alerts\n")
    assert one_line(done.stderr).endswith(told)


def test_a_rule_is_known_though_another_rule_file_is_broken(fresh: Office) -> None:
    own = fresh.directory / "own"
    own.mkdir()
    (own / "mine.yaml").write_text("id: 7\n", "utf-8")
    broken = {"JOURNEYS_RULES_DIR": str(own)}
    done = journeys("alerts", "silence", "--rule", "wismo", "--for", "1h", cwd=fresh.directory, changed=broken)
    assert done.returncode == 0 and done.stdout.endswith(", hides 1 open alert\n")
    done = journeys("alerts", "silence", "--rule", "mine", "--for", "1h", cwd=fresh.directory, changed=broken)
    assert done.returncode == 1 and "it may stand in files that cannot be read: " in one_line(done.stderr)


def test_when_only_kafka_fails_the_command_says_so_and_can_be_run_again(fresh: Office) -> None:
    before = len(fresh.published())
    # In a process of its own: the library leaves the socket of a failed start to the garbage collector.
    done = journeys("alerts", "ack", WAIT, cwd=fresh.directory, changed={"KAFKA": "127.0.0.1:1"})
    assert done.returncode == 1 and done.stdout == f"{WAIT}: acknowledged\n"
    told = one_line(done.stderr)
    assert "written to ClickHouse and holds, but topic alert-actions did not get it" in told and "127.0.0.1:1" in told
    ((stored,),) = fresh.clickhouse.query("SELECT toString(action_id) FROM analytics.alert_actions")
    assert "already acknowledged" in fresh.told("ack", WAIT)
    assert [each.action_id for each in fresh.published()[before:]] == [stored]


def test_when_clickhouse_fails_nothing_is_done(fresh: Office) -> None:
    before = len(fresh.published())
    servers = {"CLICKHOUSE": "clickhouse://u@127.0.0.1:1/"}
    done = journeys("alerts", "ack", WAIT, cwd=fresh.directory, changed=servers)
    assert done.returncode == 1 and done.stdout == "" and "cannot be reached" in one_line(done.stderr)
    assert len(fresh.published()) == before


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("show", "ffff"), "no alert has an id that begins with ffff"),
        (("ack", "aaaa"), f"aaaa is the beginning of 2 alerts' ids ({WAIT}, {LOOK}): give more of it"),
        (("ack", WAIT, "ffff"), "no alert has an id that begins with ffff"),
        (("show", "x"), "'x' is no id of an alert"),
        (("list", "--rule", "long_weight"), "there is no rule 'long_weight': did you mean long_wait?"),
        (("silence", "--rule", "nothing_like_it", "--for", "1h"), "there is no rule 'nothing_like_it'"),
        (("silence", "--for", "1h"), "at least one of --rule, --customer, --store and --subject"),
        (("unsilence", "--store", " "), "at least one of --rule, --customer, --store and --subject"),
        (("silence", "--rule", "wismo", "--for", "soon"), "'soon' is no duration"),
        (("silence", "--rule", "wismo", "--for", "9999999w"), "--for 9999999w is longer than a year"),
        (("silence", "--rule", "wismo", "--for", "367d"), "--for 367d is longer than a year"),
        (("unsilence", "--store", "S-9"), "nobody has silenced just that; in force: none"),
        (("list", "--since", "2026-11-21T10:00:00"), "is no moment"),
        (("note", WAIT, "--note", " "), "a note has a text"),
        (("ack", WAIT, "--by", ""), "--by must not be empty"),
    ],
    ids=lambda each: " ".join(each) if isinstance(each, tuple) else None,
)
def test_misuse_is_one_line_and_changes_nothing(fresh: Office, arguments: tuple[str, ...], told: str) -> None:
    done = fresh.ask(*arguments)
    assert done.returncode == 1 and done.stdout == ""
    assert told in one_line(done.stderr)
    assert fresh.clickhouse.query("SELECT count() FROM analytics.alert_actions") == [(0,)]


def random_actions(rng: random.Random, count: int) -> list[AlertAction]:
    """Actions of the last hour, many at the same moments."""
    now = datetime.now(UTC).replace(microsecond=0)
    found = []
    for _ in range(count):
        action = rng.choice(ACTIONS)
        acted_at = now - timedelta(minutes=rng.randrange(60))
        said: dict[str, Any] = {"by": rng.choice("AB"), "note": rng.choice(["x", "y", ""]), "acted_at": acted_at}
        if action == "assign":
            said["assignee"] = rng.choice(["Dan", "Gil", ""])
        if action == "note":
            said["note"] = "z"
        if action not in SILENCING or rng.random() < 0.2:
            said["episode_id"] = rng.choice([WAIT, LOOK, PRAISE, OLD])
        else:
            said[rng.choice(["rule", "customer_id"])] = rng.choice(["long_wait", "C-2"])
        if action == "silence":
            said["until"] = acted_at + timedelta(minutes=rng.choice([1, 20, 90]), milliseconds=1)
        identity = str(UUID(int=rng.getrandbits(128)))
        found.append(AlertAction.model_validate({"action_id": identity, "action": action, **said}))
    return found


def shown(ask: Ask, now: datetime) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """What the view says of each alert, and what the actions add up to."""
    actions = read_actions(ask, [WAIT, LOOK, PRAISE, OLD])
    silences = list_silences(actions)
    said, expected = [], []
    for row in ask("SELECT * FROM analytics.alerts ORDER BY episode_id", {}).records():
        standing = fold(each for each in actions if each.episode_id == str(row["episode_id"]))
        computed = {
            **vars(standing),
            "silenced": bool(silencing(row, silences, now)),
            "effective_status": effective_status(row["status"], standing),
        }
        said.append({name: tuple(row[name]) if name == "notes" else row[name] for name in computed})
        expected.append(computed)
    return said, expected


def test_the_view_and_the_actions_add_up_to_the_same(fresh: Office) -> None:
    rng = random.Random(7)
    with asking(fresh.options) as ask:
        for count in (3, 8, 8, 20, 40, 80):
            write_actions(fresh.clickhouse, random_actions(rng, count))
            said, expected = shown(ask, datetime.now(UTC))
            assert said == expected and len(said) == 4


PARTS = ("list", "show", "ack", "unack", "assign", "note", "resolve", "reopen", "silence", "unsilence", "silences")


@pytest.mark.parametrize("part", PARTS)
def test_help_has_an_example(office: Office, part: str) -> None:
    text = office.told(part, "--help")
    assert f"journeys alerts {part}" in text.split("Examples:")[1]

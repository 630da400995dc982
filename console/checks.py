"""The checks of `journeys doctor`: each looks at one thing, says ok, warn or fail, and what to do."""

from __future__ import annotations

import shlex
import shutil
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Literal

from console.backfill_journal import Unfinished, find_unfinished
from console.invocation import kafka_options, open_clickhouse
from console.kafka_positions import read_positions
from console.migration_targets import REPAIR
from console.plurals import SHOWN, shorten
from console.worker_files import WorkerLook, look_at_workers
from deploy.services import Services, clickhouse_client_options
from producers.topics import check_topics
from schemas.errors import JourneysError, Misconfigured, Terminal
from schemas.settings import Settings
from sinks.migrate import pending
from sinks.schema_repair import find_missing
from sinks.state_queries import CLOCK_MS
from streams.rules.loading import directories, load_rules

Verdict = Literal["ok", "warn", "fail"]
GIBIBYTE = 1024**3
LOW_DISK_BYTES, NO_DISK_BYTES = 5 * GIBIBYTE, 1 * GIBIBYTE
SKEW_WARN_SECONDS, SKEW_FAIL_SECONDS = 2.0, 60.0
LAG_LOOK_SECONDS = 3.0
LAG_LOOKS = 2
SUPPORTED = ((3, 11), (3, 14))
MEND_RULES = "look into the worker's log; `JOURNEYS_RULES_DIR=… journeys rules check` names the fault"


@dataclass(frozen=True)
class Finding:
    """What one check found; `advice` says what to do, and is empty when all is well."""

    name: str
    verdict: Verdict
    detail: str
    advice: str = ""


Check = tuple[str, Callable[[], Finding]]


def run_checks(settings: Settings) -> Iterator[Finding]:
    """Run every check, one after the other; none stops the others."""
    for name, check in _local_checks(settings):
        yield _run(name, check)
    try:
        services = Services.resolve(settings)
    except Misconfigured as error:
        yield Finding("servers", "fail", str(error))
        return
    for name, check in _server_checks(settings, services):
        yield _run(name, check)


def _run(name: str, check: Callable[[], Finding]) -> Finding:
    try:
        return check()
    except JourneysError as error:
        return Finding(name, "fail", str(error))


def _local_checks(settings: Settings) -> list[Check]:
    return [
        ("python", lambda: judge_python(sys.version_info[:2])),
        ("disk", lambda: _disk(settings)),
        ("rules", lambda: _rules(settings)),
        ("identifier key", lambda: judge_key(settings.identifier_key is not None)),
        ("backfills", lambda: judge_backfills(find_unfinished(settings.data_dir))),
    ]


def _server_checks(settings: Settings, services: Services) -> list[Check]:
    # Two checks judge what one look at each worker has shown.
    look = cache(lambda: look_at_workers(settings.data_dir))
    return [
        ("kafka", lambda: _kafka(settings, services)),
        ("topics", lambda: _topics(settings, services)),
        ("clickhouse", lambda: _clickhouse(settings, services)),
        ("schema", lambda: _schema(settings, services)),
        ("views", lambda: _views(settings, services)),
        ("analyst", lambda: _analyst(settings, services)),
        ("clock", lambda: _clock(settings, services)),
        ("workers", lambda: _workers(settings, look())),
        ("worker rules", lambda: judge_worker_rules(look())),
        ("lag", lambda: _lag(settings, services)),
    ]


def judge_python(version: tuple[int, ...]) -> Finding:
    """Whether this Python is one that the platform is made for."""
    shown = ".".join(map(str, version))
    if SUPPORTED[0] <= version < SUPPORTED[1]:
        return Finding("python", "ok", shown)
    return Finding("python", "fail", shown, "use Python 3.11, 3.12 or 3.13")


def judge_disk(free_bytes: int, place: str) -> Finding:
    """Whether there is room for data to grow."""
    detail = f"{free_bytes / GIBIBYTE:.1f} GiB free at {place}"
    if free_bytes >= LOW_DISK_BYTES:
        return Finding("disk", "ok", detail)
    verdict: Verdict = "warn" if free_bytes >= NO_DISK_BYTES else "fail"
    return Finding("disk", verdict, detail, "make room, or choose another directory with JOURNEYS_DATA_DIR")


def judge_key(is_set: bool) -> Finding:
    """Whether e-mail addresses and phone numbers can be hidden."""
    if is_set:
        return Finding("identifier key", "ok", "set")
    advice = "set JOURNEYS_IDENTIFIER_KEY; without it touchpoints with an e-mail address or phone number are refused"
    return Finding("identifier key", "warn", "not set", advice)


def judge_backfills(unfinished: Sequence[Unfinished]) -> Finding:
    """Whether history that was to be loaded is in journeys."""
    if not unfinished:
        return Finding("backfills", "ok", "none is unfinished")
    detail = f"unfinished: {'; '.join(map(_describe_backfill, unfinished))}"
    commands = " and ".join(f"`{_command_of(each)}`" for each in unfinished)
    unwanted = " or ".join(shlex.quote(str(each.directory)) for each in unfinished)
    advice = (
        f"stop the workers, then {commands} goes on; one that is not wanted any more is forgotten by deleting "
        f"{unwanted}: what it has loaded stays stored, and may be in no journey"
    )
    return Finding("backfills", "warn", detail, advice)


def _describe_backfill(unfinished: Unfinished) -> str:
    journal = unfinished.journal
    gone = {path for path in journal.paths if Path(path).is_absolute() and not Path(path).exists()}
    files = shorten([f"{path} (which is gone)" if path in gone else path for path in journal.paths], "more files")
    return f"{files}{f' with mapping {journal.mapping}' if journal.mapping else ''}"


def _command_of(unfinished: Unfinished) -> str:
    """The call that goes on; of many files it stands for them with dots, as their order counts."""
    journal = unfinished.journal
    files = journal.paths
    if len(files) > SHOWN:
        files = [*files[: SHOWN - 1], "…", files[-1]]
    mapping = ["--mapping", journal.mapping] if journal.mapping else []
    given = [each if each == "…" else shlex.quote(each) for each in [*files, *mapping]]
    data_dir = unfinished.directory.parent
    where = "" if data_dir == Settings.model_fields["data_dir"].default else f" --data-dir {shlex.quote(str(data_dir))}"
    return f"journeys{where} backfill {' '.join(given)}"


def judge_missing(names: Sequence[str], are_views: bool) -> Finding:
    """Whether what the migrations made is all there."""
    if not names:
        return Finding("views", "ok", "all there, and so are the tables")
    advice = (
        REPAIR if are_views else f"{REPAIR}; tables are gone with their rows, `journeys migrate --check` tells more"
    )
    return Finding("views", "fail", f"missing: {shorten(names)}", advice)


def judge_skew(skew_seconds: float) -> Finding:
    """Whether this machine and ClickHouse agree on the time."""
    detail = f"ClickHouse is {abs(skew_seconds):.2f} s {'ahead' if skew_seconds > 0 else 'behind'}"
    if abs(skew_seconds) <= SKEW_WARN_SECONDS:
        return Finding("clock", "ok", detail)
    verdict: Verdict = "warn" if abs(skew_seconds) <= SKEW_FAIL_SECONDS else "fail"
    return Finding("clock", verdict, detail, "synchronise both clocks (NTP)")


@dataclass(frozen=True)
class Reach:
    """How far the topics of the group reach, and how far it has come, in records."""

    end: int
    done: int

    @property
    def lag(self) -> int:
        """Records that wait."""
        return self.end - self.done


def judge_lag(before: Reach, after: Reach, seconds: float) -> Finding:
    """Whether the group is caught up, has only what came just now, or at least is catching up."""
    if not after.lag:
        return Finding("lag", "ok", "no record waits")
    detail = "1 record waits" if after.lag == 1 else f"{after.lag:,} records wait"
    if after.done >= before.end:
        return Finding("lag", "ok", f"{detail}, all of them come within the last {seconds:.0f} s")
    detail = f"{detail}; {seconds:.0f} s before it was {before.lag:,}"
    if after.lag < before.lag:
        return Finding("lag", "ok", f"{detail}: catching up")
    return Finding("lag", "warn", detail, "look into the worker's log, and run more workers if this lasts")


def judge_workers(workers: Sequence[WorkerLook]) -> Finding:
    """Whether all workers of this machine answer."""
    faults = [fault for worker in workers for fault in worker.faults]
    if faults:
        return Finding("workers", "fail", "; ".join(faults), "look into its log and start it again")
    joining = sum(1 for worker in workers if not worker.has_joined)
    rest = f", {joining} of them just joining" if joining else ""
    partitions = sum(worker.partitions for worker in workers)
    return Finding("workers", "ok", f"{len(workers)} on this machine, with {partitions} partitions{rest}")


def judge_worker_rules(workers: Sequence[WorkerLook]) -> Finding:
    """Whether each worker that answers has the rules of its files."""
    faults = rule_faults(workers)
    if faults:
        return Finding("worker rules", "fail", "; ".join(faults), MEND_RULES)
    is_known = any(worker.processes for worker in workers)
    return Finding("worker rules", "ok", "as in their files" if is_known else "no worker to ask")


def rule_faults(workers: Sequence[WorkerLook]) -> list[str]:
    """A line for each worker of which a process cannot use its rule files."""
    return [
        f"worker {worker.pid} has a broken rule file and keeps the set of before"
        for worker in workers
        if worker.has_broken_rules
    ]


def _disk(settings: Settings) -> Finding:
    place = settings.data_dir.absolute()
    while not place.exists():
        place = place.parent
    return judge_disk(shutil.disk_usage(place).free, str(place))


def _rules(settings: Settings) -> Finding:
    count = len(load_rules(directories(settings.rules_dir)))
    own = f" and those of {settings.rules_dir}" if settings.rules_dir else ""
    return Finding("rules", "ok", f"{count} are on: the shipped ones{own}")


def _kafka(settings: Settings, services: Services) -> Finding:
    read_positions(kafka_options(services, settings), settings.consumer_group)
    return Finding("kafka", "ok", f"answers at {services.kafka}")


def _topics(settings: Settings, services: Services) -> Finding:
    partitions = check_topics(kafka_options(services, settings))
    return Finding("topics", "ok", f"all there, {partitions} partitions")


def _clickhouse(settings: Settings, services: Services) -> Finding:
    return Finding("clickhouse", "ok", f"version {_ask(settings, services, 'SELECT version()')}")


def _schema(settings: Settings, services: Services) -> Finding:
    due = pending(clickhouse_client_options(services.clickhouse_url, settings))
    if not due:
        return Finding("schema", "ok", "up to date")
    return Finding("schema", "fail", f"pending: {', '.join(each.name for each in due)}", "run `journeys migrate`")


def _views(settings: Settings, services: Services) -> Finding:
    missing = find_missing(clickhouse_client_options(services.clickhouse_url, settings))
    return judge_missing([each.name for each in missing], all(each.is_view for each in missing))


def _analyst(settings: Settings, services: Services) -> Finding:
    _ask(settings, services, "SELECT count() FROM analytics.alerts", as_analyst=True)
    try:
        # Nothing would come of it even if it were allowed: the condition is never true.
        _ask(settings, services, "ALTER TABLE journeys.alerts DELETE WHERE 0", as_analyst=True)
    except Terminal:
        return Finding("analyst", "ok", "reads analytics, cannot write")
    if not services.clickhouse_is_local:
        advice = "give analysts a user of their own that may SELECT on analytics.* only"
        return Finding("analyst", "warn", "JOURNEYS_CLICKHOUSE names a user who may write, and sql uses it", advice)
    return Finding("analyst", "fail", "may write", "delete clickhouse/users.xml in the data directory and start anew")


def _clock(settings: Settings, services: Services) -> Finding:
    clickhouse = open_clickhouse(services, settings)
    try:
        clickhouse.query("SELECT 1")
        began = time.time()
        theirs = clickhouse.query(CLOCK_MS)[0][0] / 1000
        return judge_skew(theirs - (began + time.time()) / 2)
    finally:
        clickhouse.close()


def _workers(settings: Settings, workers: Sequence[WorkerLook]) -> Finding:
    if not workers:
        verdict: Verdict = "warn" if settings.kafka else "fail"
        return Finding("workers", verdict, f"none on this machine ({settings.data_dir})", "run `journeys worker`")
    return judge_workers(workers)


def _lag(settings: Settings, services: Services) -> Finding:
    def look() -> Reach:
        read = [each for each in read_positions(options, settings.consumer_group) if each.lag is not None]
        end = sum(each.records for each in read)
        return Reach(end, end - sum(each.lag or 0 for each in read))

    options = kafka_options(services, settings)
    before, began = look(), time.monotonic()
    finding = judge_lag(before, before, 0.0)
    # A flush may take longer than one look.
    for _ in range(LAG_LOOKS if before.lag else 0):
        time.sleep(LAG_LOOK_SECONDS)
        finding = judge_lag(before, look(), time.monotonic() - began)
        if finding.verdict == "ok":
            break
    return finding


def _ask(settings: Settings, services: Services, statement: str, *, as_analyst: bool = False) -> object:
    clickhouse = open_clickhouse(services, settings, as_analyst=as_analyst)
    try:
        rows = clickhouse.query(statement)
        return rows[0][0] if rows else None
    finally:
        clickhouse.close()

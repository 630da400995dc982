"""`journeys rules backtest`: how a report is shown, what it is as JSON and as a picture, and what it refuses."""

import io
import json
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from console.backtest_picture import check_picture, draw_picture
from console.backtest_views import Shown, show_report
from console.commands.rules_backtest import choose_window, describe, show_progress
from deploy.local.stack import LocalStack
from deploy.services import clickhouse_client_options
from schemas.errors import Misconfigured
from schemas.moments import format_epoch_ms, to_epoch_ms
from schemas.settings import Settings
from sinks.migrate import migrate
from sinks.tables import TOUCHPOINTS
from sinks.writer import ClickHouseWriter
from streams.backtest import RuleChange, Window
from streams.backtest_report import Report
from streams.backtest_run import Span
from streams.backtest_tally import DAY_MS, Counts, Example, Side, Tally
from streams.rules.loading import RuleSet, load_rule_set
from tests.console.running import journeys, one_line

IN_FORCE = load_rule_set()
SINCE = datetime(2026, 11, 1, tzinfo=UTC)
SINCE_MS = to_epoch_ms(SINCE)
WINDOW = Window(SINCE_MS, SINCE_MS + 4 * DAY_MS)


def side(minutes: int, severity: str = "warning") -> Side:
    return Side(
        "S-1", "tills", SINCE_MS, SINCE_MS + 60_000 * minutes, severity, 60.0 * minutes, "seconds",
        f"waited {minutes} min", f"המתנה {minutes}",
    )  # fmt: skip


def make_report(after: RuleSet | None = IN_FORCE, journeys: int = 200) -> Report:
    """Two stores and two days of long waits, and one kind of example each."""
    change = RuleChange(IN_FORCE, after)
    # What differs is given here, not found.
    change.__dict__["differing"], change.__dict__["told"] = frozenset({"long_wait"}), frozenset({"long_wait", "wismo"})
    tally = Tally(most=3)
    tally.touchpoints, tally.customers = 12_345, 67
    tally.counts = {
        ("long_wait", "S-1", SINCE_MS): Counts(before=4, after=1, removed=3, acknowledged=1),
        ("long_wait", "", SINCE_MS + DAY_MS): Counts(before=1, after=3, added=2, changed=1, severity=1, acknowledged=1),
        ("wismo", "", SINCE_MS + DAY_MS): Counts(before=20, after=20),
    }
    tally.keep(Example("1", "long_wait", "removed", "C-1", side(11), None))
    tally.keep(Example("2", "long_wait", "added", "C-2\x1b[31m", None, side(6)))
    tally.keep(Example("3", "long_wait", "changed", "C-3", side(12), side(12, "critical"), ("severity",)))
    return Report(change, WINDOW, tally, journeys)


def lines(report: Report, **shown: Any) -> list[list[str]]:
    """What is printed, line by line, in words."""
    console = Console(file=io.StringIO(), width=160, color_system=None)
    for part in show_report(report, Shown(**{"top": 10, "language": "en", **shown})):
        console.print(part)
    assert isinstance(console.file, io.StringIO)
    return [line.split() for line in console.file.getvalue().splitlines() if line.strip()]


def row(found: list[list[str]], name: str) -> list[str]:
    return next(line[1:] for line in found if line[0] == name)


def test_rules_stores_and_days_are_shown_before_and_after() -> None:
    found = lines(make_report())
    assert " ".join(found[0]).startswith(
        "2026-11-01 00:00 to 2026-11-05 00:00 UTC: 200 journeys; 12,345 touchpoints of 67"
    )
    assert row(found, "long_wait") == ["5", "4", "+2", "−3", "~1", "25.0", "→", "20.0", "40%"]
    assert row(found, "wismo") == ["20", "20", "0", "0", "0", "100.0", "→", "100.0", "0%"]
    assert row(found, "all") == ["25", "24", "+2", "−3", "~1", "125.0", "→", "120.0", "8%"]
    assert [line[0] for line in found].index("long_wait") < [line[0] for line in found].index("wismo")
    assert row(found, "(none)") == ["21", "23", "+2", "0", "~1"] and row(found, "S-1") == ["4", "1", "0", "−3", "0"]
    assert row(found, "2026-11-02") == ["21", "23", "+2", "0", "~1"]


def test_only_the_top_is_shown_and_the_rest_is_told() -> None:
    found = lines(make_report(), top=1)
    names = [line[0] for line in found[1:]]
    # Both stores differ by three; the one with more alerts comes first. Of the days the same.
    assert "(none)" in names and "S-1" not in names and "2026-11-02" in names and "2026-11-01" not in names
    told = [" ".join(line) for line in found if line[0] == "and"]
    assert told == ["and 1 more (--top 0 shows all)", "and 3 more (--top 0 shows all)"]
    assert not [line for line in lines(make_report(), top=0) if line[0] == "and"]


def test_examples_say_what_became_of_whom_and_why() -> None:
    told = [" ".join(line) for line in lines(make_report())]
    assert "− removed long_wait 2026-11-01 00:00 C-1 at S-1: waited 11 min" in told
    assert any(line.startswith("+ added long_wait 2026-11-01 00:00 C-2") and "\x1b" not in line for line in told)
    changed = told.index("~ changed long_wait 2026-11-01 00:00 C-3 at S-1: waited 12 min")
    assert told[changed + 1] == "severity: warning → critical"
    assert any("המתנה 11" in line for line in [" ".join(line) for line in lines(make_report(), language="he")])


def test_without_a_change_only_what_is_found_is_shown() -> None:
    found = lines(make_report(None))
    assert row(found, "long_wait") == ["5", "25.0", "40%"] and row(found, "S-1") == ["4"]
    assert "found" in found[1] and "before" not in found[1]


def test_where_nothing_differs_one_line_says_so_and_json_says_all() -> None:
    report = make_report()
    report.tally.counts = {("wismo", "", SINCE_MS): Counts(before=20, after=20)}
    head, told = (" ".join(line) for line in lines(report))
    assert head.startswith("2026-11-01 00:00 to")
    assert told == "no differences: the changed rules find the same 20 episodes as those in force (long_wait, wismo)"
    assert report.as_json()["stores"][0]["before"] == 20
    report.tally.counts = {}
    assert " ".join(lines(report)[1]).endswith("find nothing, as those in force do (long_wait, wismo)")
    assert len(lines(Report(RuleChange(IN_FORCE, None), WINDOW, report.tally, 200))) > 2


def test_without_journeys_there_is_no_rate() -> None:
    found = lines(make_report(journeys=0))
    assert "no journeys stitched yet" in " ".join(found[0]) and row(found, "long_wait")[5:8] == ["?", "→", "?"]


def test_json_holds_all_of_it() -> None:
    told = json.loads(json.dumps(make_report().as_json()))
    assert told.keys() == {
        "since", "until", "is_comparison", "touchpoints", "customers", "journeys", "total", "rules", "stores", "days",
        "examples",
    }  # fmt: skip
    waits = told["rules"][0]
    assert waits == {
        "rule": "long_wait", "differs": True, "version_before": 3, "version_after": 3, "before": 5, "after": 4,
        "added": 2, "removed": 3, "changed": 1, "acknowledged": 2, "removed_acknowledged": 0,
        "changed_in": {"opened": 0, "severity": 1, "resolved": 0, "actual": 0}, "acknowledged_share": 0.4,
        "per_1000_journeys_before": 25.0, "per_1000_journeys_after": 20.0,
    } | {name: waits[name] for name in ("version_before", "version_after")}  # fmt: skip
    assert [rule["differs"] for rule in told["rules"]] == [True, False]
    assert [(day["day"], day["before"]) for day in told["days"]] == [
        ("2026-11-01", 4), ("2026-11-02", 21), ("2026-11-03", 0), ("2026-11-04", 0),
    ]  # fmt: skip
    (added, removed, changed) = told["examples"]
    assert (added["difference"], added["before"], added["after"]["reason_he"]) == ("added", None, "המתנה 6")
    assert (removed["after"], changed["changed"], changed["after"]["severity"]) == (None, ["severity"], "critical")
    assert removed["before"]["opened_at"] == "2026-11-01T00:00:00.000Z"


def test_a_picture_has_bars_and_lines_for_what_is_compared(tmp_path: Path) -> None:
    drawn: list[str] = []
    for name, after in (("change.svg", IN_FORCE), ("found.svg", None)):
        check_picture(tmp_path / name)
        draw_picture(make_report(after), tmp_path / name)
        assert ElementTree.parse(tmp_path / name).getroot().tag.endswith("svg")
        drawn.append((tmp_path / name).read_text("utf-8"))
    change, found = drawn
    assert all("<!-- long_wait -->" in text and "<!-- Episodes 2026-11-01 to 2026-11-05" in text for text in drawn)
    assert "<!-- after -->" in change and "<!-- after -->" not in found
    assert change.count("<!-- 20 -->") == found.count("<!-- 20 -->") + 1
    draw_picture(make_report(), tmp_path / "change.png")
    assert (tmp_path / "change.png").read_bytes().startswith(b"\x89PNG")


def test_a_picture_needs_a_known_format_and_a_directory(tmp_path: Path) -> None:
    for path in (tmp_path / "a.gif", tmp_path / "none" / "a.svg"):
        with pytest.raises(Misconfigured, match=path.name):
            check_picture(path)


NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
SPAN = Span(SINCE_MS, to_epoch_ms(NOW) - 1_000)
LIVE_MS = 3_600_000


@pytest.mark.parametrize(
    ("since", "until", "expected"),
    [
        ("2d", None, (NOW - timedelta(days=2), NOW)),
        ("2d", "1d", (NOW - timedelta(days=3), NOW - timedelta(days=1))),
        ("2026-11-02", "2026-11-04", (datetime(2026, 11, 2, tzinfo=UTC), datetime(2026, 11, 4, tzinfo=UTC))),
    ],
)
def test_spans_are_counted_back_from_the_end(
    since: str, until: str | None, expected: tuple[datetime, datetime]
) -> None:
    window = choose_window(SPAN, since, until, NOW, LIVE_MS)
    assert window == tuple(to_epoch_ms(moment) for moment in expected)


@pytest.mark.parametrize(
    ("span", "since", "until", "said"),
    [
        (None, "2d", None, "no history yet"),
        (SPAN, "2026-11-05", "2026-11-04", "--since (2026-11-05T00:00:00.000Z) must lie before --until"),
        (SPAN, "2026-10-01", "2026-10-30", "it reaches from 2026-11-01T00:00:00.000Z to"),
        (SPAN, "soon", None, "'soon' is no moment"),
    ],
)
def test_a_window_without_history_is_refused(span: Span | None, since: str, until: str | None, said: str) -> None:
    with pytest.raises(Misconfigured) as refused:
        choose_window(span, since, until, NOW, LIVE_MS)
    assert said in str(refused.value)


def test_progress_is_drawn_on_a_terminal_only() -> None:
    assert describe(500, 1_000, 0.5) == "500 of 1,000 touchpoints, 1,000/s"
    for is_terminal in (True, False):
        console = Console(file=io.StringIO(), width=160, force_terminal=is_terminal)
        with show_progress(10, console) as observe:
            observe(5)
            observe(5)
        assert isinstance(console.file, io.StringIO)
        assert ("10 of 10 touchpoints" in console.file.getvalue()) == is_terminal


@pytest.fixture(scope="module")
def shop(stack: LocalStack) -> Iterator[LocalStack]:
    """A stack with one customer who waited for six minutes and one who waited for eleven."""
    options = clickhouse_client_options(stack.clickhouse_url, Settings())
    migrate(options)
    writer = ClickHouseWriter(options)
    rows = [
        stored(f"C-{minutes}", kind, SINCE_MS + at_ms)
        for minutes in (6, 11)
        for kind, at_ms in (("queue_joined", 0), ("service_started", minutes * 60_000))
    ]
    writer.insert(TOUCHPOINTS, [list(column) for column in zip(*rows, strict=True)])
    yield stack
    writer.query("TRUNCATE TABLE journeys.touchpoints")
    writer.close()


def stored(customer: str, kind: str, at_ms: int) -> tuple[Any, ...]:
    """A row of touchpoints."""
    return (
        customer, at_ms, "store", f"{customer}-{kind}", kind, "", "", "", "S-1", "", "", '{"queue": "tills"}',
        at_ms, 0, at_ms, 0, 1, "", 0, "touchpoints", 0, 0, 0,
    )  # fmt: skip


def write_rule(directory: Path, limit: str) -> Path:
    """The shipped rule of waits with another limit in stores."""
    shipped = next(rule for rule in IN_FORCE.rules if rule.id == "long_wait")
    written = shipped.model_dump(mode="json", exclude_unset=True)
    written["wait"]["cases"][0]["longer_than"] = limit
    path = directory / "long_wait.yaml"
    path.write_text(json.dumps(written), "utf-8")
    return path


@pytest.mark.integration
def test_the_command_says_what_a_file_would_change(shop: LocalStack, tmp_path: Path) -> None:
    call = "--data-dir", str(shop.directory), "rules", "backtest"
    write_rule(tmp_path, "5m")
    done = journeys(*call, "long_wait.yaml", "--picture", "change.svg", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert row([line.split() for line in done.stdout.splitlines() if line.strip()], "long_wait")[:5] == [
        "1", "2", "+1", "0", "~1",
    ]  # fmt: skip
    assert "C-6 at S-1: waited 6 min" in done.stdout and (tmp_path / "change.svg").exists()
    assert one_line(done.stderr) == "drawn into change.svg"

    told = json.loads(journeys(*call, "--json", "--since", "1d", cwd=tmp_path).stdout)
    assert told["until"] == format_epoch_ms(SINCE_MS + 11 * 60_000) and not told["is_comparison"]
    assert {rule["rule"]: rule["before"] for rule in told["rules"] if rule["before"]} == {"long_wait": 1}

    write_rule(tmp_path, "10m")
    done = journeys(*call, "long_wait.yaml", cwd=tmp_path)
    assert done.returncode == 0 and done.stdout.startswith("no rule differs")


@pytest.mark.integration
@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--since", "2020-01-01", "--until", "2020-02-01"], "no history from 2020-01-01T00:00:00.000Z"),
        (["--picture", "change.gif"], "a picture is a .svg or a .png file"),
    ],
)
def test_what_cannot_be_tried_is_one_line(shop: LocalStack, tmp_path: Path, arguments: list[str], said: str) -> None:
    done = journeys("--data-dir", str(shop.directory), "rules", "backtest", *arguments, cwd=tmp_path)
    assert done.returncode == 1 and done.stdout == "" and said in one_line(done.stderr)


def test_help_has_an_example(tmp_path: Path) -> None:
    done = journeys("rules", "backtest", "--help", cwd=tmp_path)
    assert done.returncode == 0 and "journeys rules backtest" in done.stdout.split("Examples:")[1]

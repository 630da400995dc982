"""`journeys demo`: the platform with a simulated shop, to look at; and, as it checks what it shows, a smoke test."""

from __future__ import annotations

import secrets
import shlex
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer
from pydantic import SecretStr
from rich.console import Console
from rich.live import Live
from rich.text import Text

from console.alert_feed import AlertFeed
from console.alert_lines import alert_line
from console.commands.sql import explain
from console.commands.up import Brokers, Kafka, check_choice, print_addresses
from console.demo_results import QUESTIONS, SCRIPTED_RULES, Counts, Outcome, read_counts, read_journey, shortfalls
from console.demo_screen import alert_room, make_screen
from console.invocation import Invocation, kafka_options, make_console, make_pseudonymiser, open_clickhouse, program
from console.local_run import LocalRun, interruptible
from console.metrics_page import Samples
from console.shop_feed import ShopFeed
from console.sql_results import Columns, make_table
from console.timeline import make_lines, make_timeline, plain_lines
from console.worker_files import sample_workers
from deploy.services import clickhouse_client_options
from producers.client import Client
from producers.simulator import make_demo
from producers.simulator.demo import DEFAULT_CUSTOMERS, Demo
from schemas.errors import Terminal
from schemas.settings import Settings
from sinks.connection import connect

RESULTS_AFTER_SECONDS = 25.0
RESULTS_AT_LAST_SECONDS = 45.0
SETTLE_SECONDS = 20.0
LOOK_SECONDS = 1.0
PLAIN_LOOK_SECONDS = 5.0
PLAIN_ALERTS = 3
EPILOG = """Examples:

journeys demo

journeys demo --once --seed 7

journeys --data-dir shop demo --customers 20000

journeys demo --kafka apache"""


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("demo", epilog=EPILOG)(demo)


def demo(
    context: typer.Context,
    once: Annotated[bool, typer.Option("--once", help="Stop everything after the results")] = False,
    seed: Annotated[int, typer.Option(help="Another seed, another shop")] = 1,
    customers: Annotated[int, typer.Option(min=100, max=1_000_000, help="How many customers")] = DEFAULT_CUSTOMERS,
    kafka: Kafka = "memory",
    brokers: Brokers = 1,
) -> None:
    """Start everything on this machine with a simulated shop: days of history, then life in real time.

    Within a minute it prints its results: counts, alerts with their reasons, a journey as a timeline, and questions to
    ask. On a terminal it then goes on until Ctrl-C; otherwise, or with --once, it stops everything, and exits with 0
    only if all that it promises has happened.
    """
    invocation = Invocation.of(context)
    console = make_console()
    with interruptible(), ExitStack() as stack:
        data_dir = invocation.data_dir or Path(stack.enter_context(_temporary_directory()))
        settings = _settings(invocation, data_dir)
        check_choice(settings, kafka)
        call = f"{program()} --data-dir {shlex.quote(str(data_dir))}"
        run = stack.enter_context(
            LocalRun(
                settings,
                kafka=kafka,
                brokers=brokers,
                say=lambda line: console.print(Text(f"· {line}"), soft_wrap=True),
            )
        )
        print_addresses(console, run)
        show = _Show(console, settings, run, call)
        if once or not console.is_terminal:
            show.live(make_demo(seed, datetime.now(UTC), customers), go_on=False)
        else:
            with suppress(KeyboardInterrupt):
                show.live(make_demo(seed, datetime.now(UTC), customers), go_on=True)
    ended = "" if once or console.is_terminal else ", as this is no terminal (`journeys up` goes on without one)"
    console.print(Text(f"everything is stopped{ended}"), soft_wrap=True)
    if show.found:
        raise Terminal(f"the demo did not hold its promises: {'; '.join(show.found)}")


def quote_statement(statement: str) -> str:
    """A statement for a shell: in double quotes where that changes nothing, since SQL is full of single ones."""
    return shlex.quote(statement) if set(statement) & set('"$`\\!') else f'"{statement}"'


def _settings(invocation: Invocation, data_dir: Path) -> Settings:
    """The demo runs on free ports and hides personal identifiers with a key of the moment, if none is set."""
    settings = invocation.settings(data_dir=data_dir)
    if settings.identifier_key is not None:
        return settings
    return settings.model_copy(update={"identifier_key": SecretStr(secrets.token_hex(16))})


@contextmanager
def _temporary_directory() -> Iterator[str]:
    with tempfile.TemporaryDirectory(prefix="journeys-demo-", ignore_cleanup_errors=True) as directory:
        yield directory


class _Show:
    """One demo on one console. `found` is what it promised and did not show."""

    def __init__(self, console: Console, settings: Settings, run: LocalRun, call: str) -> None:
        self._console = console
        self._settings = settings
        self._run = run
        self._call = call
        self._kafka = kafka_options(run.services, settings)
        self._analyst = open_clickhouse(run.services, settings, as_analyst=True)
        self._timeline_lines = 0
        self._before = Counts()
        self._history_count = 0
        self._samples_caught_up: Samples | None = None
        self.found: list[str] = []

    def live(self, shop: Demo, *, go_on: bool) -> None:
        """Send the shop and show what becomes of it, until the results are there, or with `go_on` until Ctrl-C."""
        began_seconds = time.monotonic()
        client = Client.connect(
            self._kafka, make_pseudonymiser(self._settings), max_bytes=self._settings.max_touchpoint_bytes
        )
        self._before = read_counts(self._analyst, 0, {}, Samples({}), Samples({}))
        feed = ShopFeed(client, shop.live, began_seconds)
        self._send_history(feed, shop)
        with AlertFeed(self._kafka) as alerts, feed:
            watch = self._watch_screen if self._console.is_terminal else self._watch_lines
            watch(feed, alerts, lambda: self._has_results(alerts, began_seconds))
            if go_on:
                self._print_results(alerts, once=False)
                watch(feed, alerts, lambda: False)
            else:
                self._finish(feed, alerts)

    def _send_history(self, feed: ShopFeed, shop: Demo) -> None:
        with self._console.status("sending three days of history") as status:
            feed.send_history(shop.history, lambda sent: status.update(f"sending three days of history: {sent:,}"))
        self._history_count = feed.sent
        self._console.print(f"· sent {feed.sent:,} touchpoints of the last three days; from now on the shop is live")

    def _has_results(self, alerts: AlertFeed, began_seconds: float) -> bool:
        seconds = time.monotonic() - began_seconds
        seen = alerts.by_rule().keys() >= SCRIPTED_RULES
        return seconds > RESULTS_AT_LAST_SECONDS or (seen and seconds > RESULTS_AFTER_SECONDS)

    def _look(self, feed: ShopFeed, alerts: AlertFeed) -> Counts:
        self._run.watch()
        for failure in (feed.failure, alerts.failure):
            if failure:
                raise Terminal(failure)
        now = sample_workers(self._settings.data_dir)[1]
        # History waits for its worker; only what comes after it tells how fast the platform is.
        live = Samples({}) if self._samples_caught_up is None else now.minus(self._samples_caught_up)
        counts = read_counts(self._analyst, feed.sent, alerts.by_rule(), now, live)
        if self._samples_caught_up is None and counts.stored - self._before.stored >= self._history_count:
            self._samples_caught_up = now
        return counts

    def _watch_screen(self, feed: ShopFeed, alerts: AlertFeed, is_over: Callable[[], bool]) -> None:
        note = "Ctrl-C stops everything"
        with Live(console=self._console, auto_refresh=False, transient=True) as screen:
            while not is_over():
                newest = alerts.latest(alert_room(self._console.height))
                screen.update(make_screen(self._look(feed, alerts), newest, note), refresh=True)
                time.sleep(LOOK_SECONDS)

    def _watch_lines(self, feed: ShopFeed, alerts: AlertFeed, is_over: Callable[[], bool]) -> None:
        looked_seconds = 0.0
        while not is_over():
            if time.monotonic() - looked_seconds > PLAIN_LOOK_SECONDS:
                looked_seconds = time.monotonic()
                self._say(self._look(feed, alerts).line())
                for episode in alerts.take_fresh()[-PLAIN_ALERTS:]:
                    self._say(f"  {alert_line(episode)}")
            time.sleep(0.2)

    def _finish(self, feed: ShopFeed, alerts: AlertFeed) -> None:
        """Stop the shop, wait until all that it sent can be queried, print, and judge."""
        feed.stop()
        deadline = time.monotonic() + SETTLE_SECONDS
        while True:
            counts = self._look(feed, alerts)
            stored = counts.stored - self._before.stored
            if (stored == feed.sent and not counts.lag) or time.monotonic() > deadline:
                break
            time.sleep(0.5)
        self._print_results(alerts, once=True)
        self._say(counts.line())
        counts = Counts(**{**vars(counts), "stored": stored})
        workers = sample_workers(self._settings.data_dir)[0]
        outcome = Outcome(counts, SCRIPTED_RULES, feed.undelivered, workers, self._timeline_lines)
        self.found = shortfalls(outcome)

    def _print_results(self, alerts: AlertFeed, *, once: bool) -> None:
        self._heading("Alerts, newest first")
        for episode in alerts.latest(6):
            self._say(alert_line(episode))
        self._print_journey()
        self._heading("Questions to ask" + (" while the demo runs" if not once else ""))
        for title, statement in QUESTIONS:
            self._print_question(title, statement)

    def _print_journey(self) -> None:
        customer_id, happenings, marks = read_journey(self._analyst)
        lines = make_lines(happenings, marks)
        self._timeline_lines = len(lines)
        self._heading(f"The journey of customer {customer_id} (times are UTC)")
        if self._console.is_terminal:
            self._console.print(make_timeline(lines))
            return
        for line in plain_lines(lines):
            self._say(line)

    def _print_question(self, title: str, statement: str) -> None:
        client = connect(clickhouse_client_options(self._run.services.analyst_url, self._settings))
        try:
            rows, kinds = client.execute(statement, with_column_types=True)
        except Exception as error:
            raise explain(error) from error
        finally:
            client.disconnect()
        names, types = zip(*kinds, strict=True)
        self._say(f"{title}\n{self._call} sql {quote_statement(statement)}")
        self._console.print(make_table(Columns(names, types), rows, self._console.width))

    def _heading(self, text: str) -> None:
        self._console.print(Text(f"\n{text}", style="bold"))

    def _say(self, text: str) -> None:
        # Never wrapped: what is copied from the terminal must be whole.
        self._console.print(Text(text), soft_wrap=True)

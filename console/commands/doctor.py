"""`journeys doctor`: settings and checks, with what to do."""

from __future__ import annotations

import json
import os
import tomllib
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer
from rich import box
from rich.table import Table
from rich.text import Text

from console.checks import Finding, run_checks
from console.invocation import Invocation, make_console
from console.settings_view import SettingView, view_settings

SETTINGS_FILE = Path("journeys.toml")
VERDICT_STYLES = {"ok": "green", "warn": "yellow", "fail": "bold red"}
EPILOG = """Examples:

journeys doctor

journeys doctor --json | python -m json.tool

JOURNEYS_KAFKA=kafka-1:9092 journeys doctor"""


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("doctor", epilog=EPILOG)(doctor)


def doctor(
    context: typer.Context,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object")] = False,
) -> None:
    """Print every setting and where it comes from, without secrets, and check whether everything works.

    Exits with 1 when a check fails. A warning does not.
    """
    invocation = Invocation.of(context)
    settings = invocation.settings()
    given = frozenset({"data_dir"} if invocation.data_dir else ())
    views = view_settings(settings, os.environ, _read_file(), given)
    console = make_console()
    if not as_json:
        _print_settings(views)
    findings = []
    for finding in run_checks(settings):
        findings.append(finding)
        if not as_json:
            console.print(_line(finding), soft_wrap=True)
    failed = any(finding.verdict == "fail" for finding in findings)
    if as_json:
        found = {"ok": not failed, "settings": [*map(asdict, views)], "checks": [*map(asdict, findings)]}
        typer.echo(json.dumps(found, indent=2))
    if failed:
        raise typer.Exit(1)


def _read_file() -> dict[str, Any]:
    return tomllib.loads(SETTINGS_FILE.read_text("utf-8")) if SETTINGS_FILE.is_file() else {}


def _print_settings(views: list[SettingView]) -> None:
    console = make_console()
    if not console.is_terminal:
        console.width = 200
    table = Table(box=box.SIMPLE_HEAD, header_style="bold", pad_edge=False)
    table.add_column("setting", no_wrap=True)
    for name in ("value", "from"):
        table.add_column(name, overflow="fold")
    for view in views:
        style = "dim" if view.source == "default" else ""
        table.add_row(Text(view.variable), Text(view.value), Text(view.source), style=style)
    console.print(table)


def _line(finding: Finding) -> Text:
    advice = f": {finding.advice}" if finding.advice else ""
    return Text.assemble(
        (f"{finding.verdict:<4}", VERDICT_STYLES[finding.verdict]), f"  {finding.name:<14}  {finding.detail}{advice}"
    )

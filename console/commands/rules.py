"""`journeys rules`: which rules there are, and whether rule files and their scenarios are sound."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer
from rich import box
from rich.table import Table
from rich.text import Text

from console.commands import rules_backtest
from console.invocation import Invocation, make_console
from console.rule_checks import Checked, check_rules
from schemas.errors import Misconfigured
from streams.rules.loading import SHIPPED, RuleFile, directories, read_rule_files
from streams.rules.wording import sum_up, sum_up_severity

SEVERITY_STYLES = {"info": "", "warning": "yellow", "critical": "bold red"}
EPILOG = """Examples:

journeys rules list

journeys rules check my-rules

journeys rules backtest my-rules --since 30d

JOURNEYS_RULES_DIR=my-rules journeys rules list --json | python -m json.tool"""
LIST_EPILOG = """Examples:

journeys rules list

journeys rules list --json | python -m json.tool"""
CHECK_EPILOG = """Examples:

journeys rules check

journeys rules check my-rules

journeys rules check my-rules/slow_queue.yaml my-rules/scenarios/slow_queue.yaml

journeys rules check --json | python -m json.tool"""

AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object")]


def register(app: typer.Typer) -> None:
    """Add the command and its parts."""
    group = typer.Typer(no_args_is_help=True, rich_markup_mode="rich")
    group.command("list", epilog=LIST_EPILOG)(list_rules)
    group.command("check", epilog=CHECK_EPILOG)(check)
    group.command("backtest", epilog=rules_backtest.EPILOG)(rules_backtest.backtest)
    app.add_typer(
        group,
        name="rules",
        epilog=EPILOG,
        help="List the rules, check rule files of one's own, and try them on history with backtest.",
    )


def list_rules(context: typer.Context, as_json: AsJson = False) -> None:
    """List all rules, the shipped ones and those of JOURNEYS_RULES_DIR, with what makes each fire.

    docs/rules.md says more of each.
    """
    files = read_rule_files(directories(Invocation.of(context).settings().rules_dir))
    if as_json:
        typer.echo(json.dumps([_describe(file) for file in files], indent=2, ensure_ascii=False))
        return
    console = make_console()
    if not console.is_terminal:
        console.width = 200
    console.print(_table(files))


def check(
    context: typer.Context,
    paths: Annotated[
        list[Path] | None,
        typer.Argument(metavar="FILE|DIR", help=r"Rule files, scenario files, directories  \[default: all rules]"),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Check rule files, calendars and scenarios; exit 1 when anything is wrong.

    A directory is one of rules, with scenarios in its folder scenarios. Each scenario runs through the real code, in
    every order of arrival, and what is not as expected is told in words. Rules of one's own are checked together with
    the shipped ones and those of JOURNEYS_RULES_DIR.
    """
    console = make_console()
    found: list[Checked] = []
    for checked in check_rules(paths or [], Invocation.of(context).settings().rules_dir):
        found.append(checked)
        for line in _lines(checked) if not as_json else ():
            console.print(line, soft_wrap=True)
    if not found and paths:
        raise Misconfigured(f"there is no rule file, calendar or scenario in {', '.join(map(str, paths))}")
    counts = _count(found)
    if as_json:
        files = [asdict(checked) for checked in found]
        typer.echo(json.dumps({"ok": not counts["faults"], **counts, "files": files}, indent=2, ensure_ascii=False))
    else:
        numbers = ", ".join(f"{count} {name if count != 1 else name[:-1]}" for name, count in counts.items())
        console.print(Text(numbers, style="bold red" if counts["faults"] else "green"))
    if counts["faults"]:
        raise typer.Exit(1)


def _count(found: list[Checked]) -> dict[str, int]:
    return {
        "rules": sum(checked.kind == "rule" for checked in found),
        "scenarios": sum(checked.scenarios for checked in found),
        "faults": sum(len(checked.faults) for checked in found),
    }


def _lines(checked: Checked) -> list[Text]:
    head = f"{checked.kind:<9}  {_shorten(Path(checked.file))}"
    if not checked.faults:
        return [Text.assemble(("ok  ", "green"), f"  {head}  {checked.detail}")]
    # A fault that begins with its line goes on from the file's name, as editors know it.
    parts = [(":" if fault[:1].isdigit() else ": ") + fault for fault in checked.faults]
    return [Text.assemble(("fail", "bold red"), f"  {head}{part}") for part in parts]


def _shorten(path: Path) -> str:
    here = Path.cwd()
    return str(path.relative_to(here) if path.is_relative_to(here) else path)


def _table(files: tuple[RuleFile, ...]) -> Table:
    table = Table(box=box.SIMPLE_HEAD, header_style="bold", pad_edge=False)
    for name in ("rule", "kind", "severity", "what", "threshold"):
        table.add_column(name, overflow="fold")
    table.add_column("version", justify="right")
    table.add_column("from", overflow="fold")
    for file in files:
        rule = file.rule
        table.add_row(
            Text(rule.id),
            rule.kind,
            Text(sum_up_severity(rule), style=SEVERITY_STYLES[rule.severity]),
            Text(rule.title.en),
            Text(sum_up(rule)),
            str(rule.version) if rule.enabled else "off",
            Text(_origin(file)),
            style="" if rule.enabled else "dim",
        )
    return table


def _origin(file: RuleFile) -> str:
    return "shipped" if file.path.parent == SHIPPED else _shorten(file.path)


def _describe(file: RuleFile) -> dict[str, object]:
    rule = file.rule
    return {
        "id": rule.id,
        "kind": rule.kind,
        "severity": rule.severity,
        "escalate": [step.model_dump(mode="json", exclude_none=True) for step in rule.escalate],
        "title": rule.title.model_dump(),
        "threshold": sum_up(rule),
        "version": rule.version,
        "enabled": rule.enabled,
        "from": _origin(file),
        "replaces": None if file.replaces is None else str(file.replaces),
    }

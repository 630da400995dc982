"""Alerts as a table and one alert in full, for people; rows are those of `analytics.alerts`. Pure."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from rich import box
from rich.table import Table
from rich.text import Text

from console.alert_actions import Silence, Standing, order_key
from console.alert_lines import SEVERITY_MARKS
from console.alert_words import DEEDS, LABELS, NOBODY
from console.cells import printable, show_cell
from console.timeline import FIELDS, ICONS, SEVERITY_STYLES, Line, describe_details
from schemas.alert_action import MATCHERS, AlertAction
from streams.friction.texts import Language, format_amount

ID_LENGTH = 8
CUSTOMER_WIDTH = 20
RULE_ICON = "◆"
Alert = Mapping[str, Any]


def make_list(alerts: Sequence[Alert], language: Language) -> Table:
    """One line each, in the colour of its severity; what is over is dim."""
    table = Table(box=box.SIMPLE_HEAD, header_style="bold", pad_edge=False)
    for name in ("id", "opened (UTC)", ""):
        table.add_column(name, no_wrap=True)
    table.add_column("customer", no_wrap=True, max_width=CUSTOMER_WIDTH)
    table.add_column("what", overflow="fold")
    for alert in alerts:
        cells = (
            str(alert["episode_id"])[:ID_LENGTH],
            f"{alert['opened_at']:%d %b %H:%M:%S}",
            SEVERITY_MARKS.get(alert["severity"], " "),
            alert["customer_id"],
            what_line(alert, language),
        )
        table.add_row(*(Text(printable(cell), overflow="ellipsis") for cell in cells[:-1]), Text(cells[-1]))
        table.rows[-1].style = style_of(alert)
    return table


def style_of(alert: Alert) -> str:
    """The style of an alert."""
    return SEVERITY_STYLES.get(alert["severity"], "") if alert["effective_status"] == "open" else "dim"


def what_line(alert: Alert, language: Language) -> str:
    """Rule, place, reason, and in brackets what is not as it was when it opened: status, silence, who deals with it."""
    place = f" at {alert['store_id']}" if alert["store_id"] else ""
    states = [
        alert["effective_status"] if alert["effective_status"] != "open" else "",
        "silenced" if alert["silenced"] else "",
        # The assignee, otherwise who has resolved or acknowledged it.
        alert["assigned_to"] or alert["human_resolved_by"] or alert["acknowledged_by"],
    ]
    shown = ", ".join(filter(None, states))
    return printable(f"{alert['rule']}{place}: {alert[f'reason_{language}']}{f' [{shown}]' if shown else ''}")


def list_note(shown: int, heard: int, silenced: int, show_all: bool) -> str:
    """How many alerts there are, and how to see the rest."""
    count = heard + silenced if show_all else heard
    noun = "alert" if count == 1 else "alerts"
    rest = "" if shown >= count else f", of which the newest {shown:,} are shown: --limit 0 shows all"
    hidden = f"; silenced and not shown: {silenced:,} (--all shows them)" if silenced and not show_all else ""
    return f"{count:,} {noun}{rest}{hidden}"


def head_line(alert: Alert, language: Language) -> Text:
    """Its title, with what it is."""
    mark = SEVERITY_MARKS.get(alert["severity"], " ")
    facts = (alert["severity"], alert["effective_status"], alert["kind"], f"{alert['rule']} v{alert['rule_version']}")
    title = printable(alert[f"title_{language}"])
    return Text.assemble((f"{mark} {title}", style_of(alert)), f"  {' · '.join(map(str, facts))}")


def detail_table(alert: Alert, standing: Standing, silences: Iterable[Silence], language: Language) -> Table:
    """All that is said of one alert, a line each."""
    table = Table(box=None, show_header=False, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    for label, value in detail_rows(alert, standing, silences, language):
        table.add_row(Text(label), Text(value))
    return table


def detail_rows(
    alert: Alert, standing: Standing, silences: Iterable[Silence], language: Language
) -> Iterator[tuple[str, str]]:
    """Label and value of all that is said of one alert; what is empty is left out."""
    words = LABELS[language]
    unit = alert["unit"]
    found: list[tuple[str, str]] = [
        ("id", str(alert["episode_id"])),
        (words["customer"], alert["customer_id"]),
        (words["store"], alert["store_id"]),
        (words["subject"], alert["subject"]),
        (words["journey"], str(alert["journey_id"])),
        (words["opened"], show_moment(alert["opened_at"])),
        (words["seen"], show_moment(alert["last_seen_at"])),
        (words["resolved"], show_moment(alert["resolved_at"])),
        (words["why"], alert[f"reason_{language}"]),
        (words["found"], _amount(alert["actual"], unit, language)),
        (words["allowed"], _amount(alert["threshold"], unit, language)),
        (words["limit"], show_moment(alert["limit_at"])),
        (words["silent_if"], alert[f"silent_if_{language}"]),
        (words["withdrawn"], alert["withdrawn_because"].replace("_", " ")),
        (words["advice"], alert[f"advice_{language}"]),
        (words["affected"], show_cell(alert["affected_customers"])),
        (words["hand"], ", ".join(_hands(standing, language))),
    ]
    found += [(words["silenced"], describe_silence(each, language)) for each in silences]
    return ((label, printable(value)) for label, value in found if value)


def _amount(amount: float, unit: str, language: Language) -> str:
    shown = format_amount(amount, unit, language)
    return shown if unit == "seconds" else f"{shown} {unit}"


def _hands(standing: Standing, language: Language) -> Iterator[str]:
    deeds = DEEDS[language]
    if standing.acknowledged_by:
        yield f"{standing.acknowledged_by} {deeds['ack']}"
    if standing.assigned_to:
        yield f"{deeds['assign']} {standing.assigned_to}"
    if standing.human_resolved_by:
        yield f"{standing.human_resolved_by} {deeds['resolve']}"


def describe_silence(silence: Silence, language: Language = "en") -> str:
    """What it matches, until when, and who wanted it."""
    words, action = LABELS[language], silence.action
    matched = describe_matchers(action)
    note = f": {action.note}" if action.note else ""
    return f"{matched} {words['until']} {show_moment(silence.ends_at)}, {words['by']} {action.by}{note}"


def describe_matchers(action: AlertAction) -> str:
    """`rule long_wait, store S-1`."""
    named = zip(MATCHERS, action.matchers, strict=True)
    return ", ".join(f"{name.removesuffix('_id')} {printable(value)}" for name, value in named if value)


def show_moment(moment: datetime | None) -> str:
    """`2026-11-21 10:00:00.123`, UTC; milliseconds only where there are any."""
    return "" if moment is None else show_cell(moment.astimezone(UTC))


def evidence_lines(alert: Alert, touchpoints: Iterable[Mapping[str, Any]], language: Language) -> list[Line]:
    """The touchpoints that prove an alert and the moments of the rule between them, in the order of time."""
    words, style = LABELS[language], style_of(alert)
    entries: list[tuple[datetime, int, Line]] = []
    stored = set()
    for found in touchpoints:
        stored.add(f"{found['source']}/{found['event_id']}")
        entries.append((found["occurred_at"], 0, _touchpoint_line(found)))
    for order, name in enumerate(("limit", "opened", "resolved"), 1):
        moment = alert[f"{name}_at"]
        if moment is not None:
            line = Line("", RULE_ICON, words["source"], name, words[f"condition_{name}"], style)
            entries.append((moment, order, line))
    lines = list(_with_times(sorted(entries, key=lambda entry: entry[:2])))
    missing = [reference for reference in alert["evidence"] if reference not in stored]
    return lines + [Line("", "·", printable(each), words["missing"], "") for each in missing]


def _with_times(entries: Iterable[tuple[datetime, int, Line]]) -> Iterator[Line]:
    day = ""
    for moment, _, line in entries:
        shown = f"{moment:%a %d %b}"
        clock = f"{moment:%H:%M:%S}.{moment.microsecond // 1000:03}"
        yield Line(f"{shown if shown != day else '':<10} {clock}", *_after_time(line))
        day = shown


def _after_time(line: Line) -> tuple[str, str, str, str, str]:
    return line.icon, line.source, line.what, line.details, line.style


def _touchpoint_line(found: Mapping[str, Any]) -> Line:
    properties = _properties(found["properties"])
    details = ", ".join(describe_details({name: found[name] for name in FIELDS}, properties))
    return Line("", ICONS.get(found["source"], "·"), found["source"], printable(found["type"]), details)


def _properties(text: str) -> Mapping[str, Any]:
    found = json.loads(text or "{}")
    return found if isinstance(found, dict) else {}


def history_lines(actions: Iterable[AlertAction], language: Language) -> list[str]:
    """Who did what to one alert and when, oldest first."""
    deeds = DEEDS[language]
    lines = []
    for action in sorted(actions, key=order_key):
        to = f" {action.assignee or NOBODY[language]}" if action.action == "assign" else ""
        note = f": {action.note}" if action.note else ""
        lines.append(printable(f"{show_moment(action.acted_at)}  {action.by} {deeds[action.action]}{to}{note}"))
    return lines

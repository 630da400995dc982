"""A customer's journey as a timeline: what happened when, through which source, and where it hurt."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from rich.table import Table
from rich.text import Text

from console.cells import printable

ICONS = {"web": "◌", "store": "⌂", "support": "☏", "delivery": "▷", "messaging": "✉", "feedback": "★"}
SOURCE_STYLES = {
    "web": "cyan", "store": "green", "support": "magenta", "delivery": "blue", "messaging": "cyan", "feedback": "green",
}  # fmt: skip
SEVERITY_STYLES = {"info": "cyan", "warning": "yellow", "critical": "bold red"}
ALERT_ICON = "▲"
GOOD_ICONS = {"delight": "♥", "opportunity": "✦"}
GOOD_STYLE = "green"
MAX_DETAILS = 4
FIELDS = ("order_id", "store_id", "channel", "agent_id")


@dataclass(frozen=True)
class Happening:
    """A touchpoint of the journey."""

    occurred_at: datetime
    source: str
    type: str
    fields: Mapping[str, str] = field(default_factory=dict)
    properties: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Mark:
    """An alert, marked where it opened."""

    opened_at: datetime
    rule: str
    severity: str
    status: str
    reason: str
    kind: str = "friction"


@dataclass(frozen=True)
class Line:
    """One line of the timeline, as text by column, and the style of its alert (empty: a touchpoint)."""

    time: str
    icon: str
    source: str
    what: str
    details: str
    style: str = ""


def make_lines(happenings: Iterable[Happening], marks: Iterable[Mark]) -> list[Line]:
    """All lines in the order of time; an alert stands behind the touchpoint of its moment. A date stands once."""
    entries: list[tuple[datetime, int, Happening | Mark]] = [(each.occurred_at, 0, each) for each in happenings]
    entries += [(each.opened_at, 1, each) for each in marks]
    lines: list[Line] = []
    day = ""
    for moment, _, entry in sorted(entries, key=lambda item: item[:2]):
        shown = f"{moment:%a %d %b}"
        time = f"{shown if shown != day else '':<10} {moment:%H:%M:%S}"
        day = shown
        lines.append(_mark_line(time, entry) if isinstance(entry, Mark) else _touchpoint_line(time, entry))
    return lines


def _touchpoint_line(time: str, entry: Happening) -> Line:
    details = ", ".join(describe_details(entry.fields, entry.properties))
    return Line(time, ICONS.get(entry.source, "·"), entry.source, printable(entry.type), details)


def _mark_line(time: str, entry: Mark) -> Line:
    good = GOOD_ICONS.get(entry.kind)
    if good is not None:
        # It was a moment, and is not open or resolved.
        return Line(time, good, entry.kind[:8].upper(), entry.rule, printable(entry.reason), GOOD_STYLE)
    style = SEVERITY_STYLES.get(entry.severity, "yellow")
    return Line(time, ALERT_ICON, "ALERT", entry.rule, f"{printable(entry.reason)} [{entry.status}]", style)


def describe_details(fields: Mapping[str, str], properties: Mapping[str, Any]) -> list[str]:
    """The properties and then the envelope's fields that say most, at most `MAX_DETAILS`."""
    shown = [f"{name} {_show(value)}" for name, value in properties.items() if value is not None]
    shown += [f"{name.removesuffix('_id')} {printable(fields[name])}" for name in FIELDS if fields.get(name)]
    return shown[:MAX_DETAILS]


def _show(value: Any) -> str:
    return printable(value if isinstance(value, str) else json.dumps(value, ensure_ascii=False))


def make_timeline(lines: Sequence[Line]) -> Table:
    """The lines as a borderless table whose details wrap in their own column."""
    table = Table(box=None, show_header=False, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column(no_wrap=True)
    table.add_column(no_wrap=True)
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold", ratio=1)
    for line in lines:
        source_style = line.style or SOURCE_STYLES.get(line.source, "")
        table.add_row(
            Text(line.time, style="dim"),
            Text(f"{line.icon} {line.source}", style=source_style),
            Text(line.what, style=line.style),
            Text(line.details, style=line.style),
        )
    return table


def plain_lines(lines: Sequence[Line]) -> list[str]:
    """The same as text, for files and pipes."""
    width = max((len(line.what) for line in lines), default=0)
    return [
        f"{line.time}  {line.icon} {line.source:<9}  {line.what:<{width}}  {line.details}".rstrip() for line in lines
    ]

"""Silences as people look at them: what each hides, how much of it is open, and what matches nothing. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from rich import box
from rich.table import Table
from rich.text import Text

from console.alert_actions import Silence, order_key
from console.alert_desk import OPTIONS
from console.alert_views import ID_LENGTH, describe_matchers, show_moment
from console.cells import printable
from console.sql_results import Columns
from schemas.alert_action import MATCHERS, AlertAction

_MOMENT = "DateTime64(3, 'UTC')"
COLUMNS = Columns(
    ("silence_id", "episode_id", *MATCHERS, "silenced_at", "until", "by", "note", "in_force", "open_alerts"),
    ("UUID", "Nullable(UUID)", *["String"] * len(MATCHERS), _MOMENT, _MOMENT, "String", "String", "Bool", "UInt64"),
)


@dataclass(frozen=True)
class SilenceLine:
    """A silence, whether it is in force, and how many open alerts it hides now."""

    silence: Silence
    in_force: bool
    open_alerts: int

    def row(self) -> tuple[Any, ...]:
        """Its values in the order of `COLUMNS`."""
        action = self.silence.action
        said = (action.action_id, action.episode_id, *action.matchers, action.acted_at, self.silence.ends_at)
        return (*said, action.by, action.note, self.in_force, self.open_alerts)


def pick_silences(silences: Iterable[Silence], now: datetime, show_all: bool) -> list[Silence]:
    """Those in force, or all, the newest first."""
    picked = [each for each in silences if show_all or each.covers(now)]
    return sorted(picked, key=lambda each: order_key(each.action), reverse=True)


def make_silences_table(lines: Sequence[SilenceLine]) -> Table:
    """One line each; what has ended is dim."""
    table = Table(box=box.SIMPLE_HEAD, header_style="bold", pad_edge=False)
    table.add_column("id", no_wrap=True)
    table.add_column("hides", overflow="fold")
    table.add_column("until (UTC)", no_wrap=True)
    table.add_column("by", overflow="fold")
    table.add_column("open alerts", justify="right")
    table.add_column("note", overflow="fold")
    for line in lines:
        action = line.silence.action
        cells = (
            action.action_id[:ID_LENGTH],
            describe_matchers(action),
            show_moment(line.silence.ends_at),
            printable(action.by),
            f"{line.open_alerts:,}" if line.in_force else "-",
            printable(action.note),
        )
        table.add_row(*map(Text, cells), style="" if line.in_force else "dim")
    return table


def silences_note(lines: Sequence[SilenceLine], show_all: bool) -> str:
    """How many there are, and how to see those that have ended."""
    in_force = sum(line.in_force for line in lines)
    shown = f"{in_force:,} silence{'' if in_force == 1 else 's'} in force"
    return f"{shown}, {len(lines) - in_force:,} ended" if show_all else f"{shown} (--all shows those that have ended)"


def warn_of_misses(wanted: AlertAction, absent: Iterable[str]) -> str:
    """What a silence that hides no open alert may have wrong; `absent`: the fields whose value no alert has had."""
    named = dict(zip(MATCHERS, wanted.matchers, strict=True))
    values = [f"--{OPTIONS.get(name, name)} {printable(named[name])}" for name in absent]
    why = f": no alert has ever had {' or '.join(values)}" if values else ""
    wild = "; * stands for itself, as there are no wildcards" if any("*" in named[name] for name in absent) else ""
    return f"no alert that is open now is hidden{why}{wild}"

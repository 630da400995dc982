"""The demo on a terminal: counts, and alerts as they come, the newest on top."""

from __future__ import annotations

from rich import box
from rich.console import Group, RenderableType
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from console.alert_lines import style_alert
from console.demo_results import Counts, show_seconds
from schemas.episode import Episode

FIXED_LINES = 8
MOST_ALERTS = 14


def alert_room(height: int) -> int:
    """How many alerts fit on a screen of this height beside the counts."""
    return max(3, min(MOST_ALERTS, height - FIXED_LINES))


def make_screen(counts: Counts, alerts: list[Episode], note: str) -> RenderableType:
    """The whole live part; it is as wide as the terminal and never higher than it."""
    lines: list[Text] = [style_alert(episode) for episode in alerts]
    body = Group(*lines) if lines else Text("none yet; the first come within seconds", style="dim")
    return Group(
        _counts_table(counts),
        Panel(body, title="alerts, newest on top", title_align="left", box=box.HORIZONTALS, padding=0),
        Text(note, style="dim", no_wrap=True, overflow="ellipsis"),
    )


def _counts_table(counts: Counts) -> Table:
    table = Table(box=None, pad_edge=False, show_header=False, padding=(0, 2, 0, 0))
    for _ in range(3):
        table.add_column(style="dim", no_wrap=True)
        table.add_column(justify="right", no_wrap=True)
    lag_style = "yellow" if counts.lag else "green"
    table.add_row(
        "sent", f"{counts.sent:,}", "journeys", f"{counts.journeys:,}", "lag", Text(f"{counts.lag:,}", style=lag_style)
    )
    table.add_row(
        "stored", f"{counts.stored:,}", "of these open", f"{counts.open_journeys:,}",
        "queryable p50", show_seconds(counts.p50_seconds),
    )  # fmt: skip
    table.add_row(
        "dead letters", Text(f"{counts.dead_letters:,}", style="red" if counts.dead_letters else ""),
        "open customers", f"{counts.open_customers:,}", "queryable p95", show_seconds(counts.p95_seconds),
    )  # fmt: skip
    alerts = ", ".join(f"{rule} {count:,}" for rule, count in counts.alerts.items()) or "none yet"
    outer = Table.grid()
    outer.add_row(table)
    outer.add_row(Text.assemble(("alerts  ", "dim"), alerts, no_wrap=True, overflow="ellipsis"))
    return outer

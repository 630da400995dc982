"""A picture of a back-test: bars for each rule, before and after, and a line for each over the days."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import matplotlib.dates as dates
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator

from schemas.errors import Misconfigured
from schemas.moments import format_epoch_ms
from streams.backtest_report import Report

CANVASES = {".svg": FigureCanvasSVG, ".png": FigureCanvasAgg}
BEFORE, AFTER = "#9aa5b1", "#0b7285"
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_GROUPED = FuncFormatter(lambda value, _: f"{value:,.0f}")


def check_picture(path: Path) -> None:
    """Raise Misconfigured for a file that cannot become a picture."""
    if path.suffix.lower() not in CANVASES:
        raise Misconfigured(f"{path}: a picture is a .svg or a .png file")
    if not path.absolute().parent.is_dir():
        raise Misconfigured(f"{path}: there is no directory {path.absolute().parent}")


def draw_picture(report: Report, path: Path) -> None:
    """Write the picture. Raises OSError where that is not possible."""
    rules = len(report.by_rule())
    figure = Figure(figsize=(10, 4.6 + 0.42 * rules), layout="constrained")
    CANVASES[path.suffix.lower()](figure)
    since, until = (format_epoch_ms(moment)[:10] for moment in report.window)
    journeys = f", {report.journeys:,} journeys" if report.journeys else ""
    figure.suptitle(f"Episodes {since} to {until}{journeys}", fontsize=13, fontweight="bold")
    above, below = figure.subplots(2, 1, height_ratios=(1 + 0.42 * rules, 3.4))
    _draw_rules(above, report)
    _draw_days(below, report)
    figure.savefig(path, dpi=130)


def _draw_rules(axes: Axes, report: Report) -> None:
    by_rule = report.by_rule()
    places = range(len(by_rule))
    sides = [("before", _first_colour(report), [counts.before for counts in by_rule.values()])]
    if report.is_comparison:
        sides.append(("after", AFTER, [counts.after for counts in by_rule.values()]))
    height = 0.8 / len(sides)
    for number, (name, colour, values) in enumerate(sides):
        offset = (number - (len(sides) - 1) / 2) * height
        bars = axes.barh([place + offset for place in places], values, height, color=colour, label=name)
        axes.bar_label(bars, labels=[f"{value:,}" for value in values], padding=3, fontsize=8)
    axes.set_yticks(list(places), list(by_rule))
    axes.invert_yaxis()
    axes.margins(x=0.08, y=0.02)
    axes.set_xlabel("episodes")
    axes.xaxis.set_major_formatter(_GROUPED)
    axes.spines[["top", "right"]].set_visible(False)
    if report.is_comparison:
        axes.legend(frameon=False, loc="best")


def _first_colour(report: Report) -> str:
    return BEFORE if report.is_comparison else AFTER


def _draw_days(axes: Axes, report: Report) -> None:
    by_day = report.by_day()
    days = [_EPOCH + timedelta(milliseconds=day_ms) for day_ms in by_day]
    values = [counts.before for counts in by_day.values()]
    axes.plot(days, values, color=_first_colour(report), marker="o", markersize=3, label="before")  # type: ignore[arg-type]
    if report.is_comparison:
        after = [counts.after for counts in by_day.values()]
        axes.plot(days, after, color=AFTER, marker="o", markersize=3, label="after")  # type: ignore[arg-type]
    axes.set_ylim(bottom=0)
    axes.set_ylabel("episodes a day (UTC)")
    axes.yaxis.set_major_locator(MaxNLocator(integer=True))
    axes.yaxis.set_major_formatter(_GROUPED)
    locator = dates.AutoDateLocator(minticks=3, maxticks=10)  # type: ignore[no-untyped-call]
    axes.xaxis.set_major_locator(locator)
    axes.xaxis.set_major_formatter(dates.ConciseDateFormatter(locator))  # type: ignore[no-untyped-call]
    axes.grid(axis="y", alpha=0.3)
    axes.spines[["top", "right"]].set_visible(False)

"""What a back-test found, as tables and lines for people. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import NamedTuple

from rich import box
from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from console.cells import printable
from console.plurals import counted
from schemas.moments import format_epoch_ms
from streams.backtest_report import Report, show_day, weigh
from streams.backtest_tally import Counts, Example, Side
from streams.friction.texts import Language

MARKS = {"added": ("+", "yellow"), "removed": ("−", "green"), "changed": ("~", "cyan")}
NO_STORE = "(none)"
ALL = "all"


class Shown(NamedTuple):
    """`top`: so many stores and days are shown, 0: all."""

    top: int
    language: Language


def show_report(report: Report, shown: Shown) -> Iterator[RenderableType]:
    """All of it, part by part; where nothing would change, that in one line."""
    yield Text(head_line(report), style="bold")
    if report.is_comparison and not weigh(report.total())[0]:
        yield Text(same_line(report))
        return
    yield rule_table(report)
    stores = {printable(store) or NO_STORE: counts for store, counts in report.by_store().items()}
    yield from _places("store", stores, shown.top, report)
    days = {show_day(day): counts for day, counts in report.by_day().items()}
    yield from _places("day (UTC)", _most(days, shown.top), 0, report, len(days))
    for example in report.examples():
        yield example_lines(example, shown.language)


def head_line(report: Report) -> str:
    """Which history it was."""
    since, until = (format_epoch_ms(moment)[:16].replace("T", " ") for moment in report.window)
    tally = report.tally
    read = f"{tally.touchpoints:,} touchpoints of {tally.customers:,} customers read"
    journeys = f"{report.journeys:,} journeys" if report.journeys else "no journeys stitched yet"
    return f"{since} to {until} UTC: {journeys}; {read}"


def same_line(report: Report) -> str:
    """That the changed rules find what those in force find, and how much that is."""
    count = report.total().after
    found = f"the same {counted(count, 'episode')} as those in force" if count else "nothing, as those in force do"
    return f"no differences: the changed rules find {found} ({', '.join(report.by_rule())})"


def rule_table(report: Report) -> Table:
    """Rule by rule; where nothing is compared, only what is found."""
    table = _table("rule", report.is_comparison)
    table.add_column("per 1,000 journeys", justify="right")
    table.add_column("acknowledged", justify="right")
    by_rule = report.by_rule()
    for rule, counts in by_rule.items():
        _add(table, rule, counts, report)
    if len(by_rule) > 1:
        table.add_section()
        _add(table, ALL, report.total(), report)
    return table


def _add(table: Table, name: str, counts: Counts, report: Report) -> None:
    before, after = (_rate(report.per_thousand(count)) for count in (counts.before, counts.after))
    rate = f"{before} → {after}" if report.is_comparison else before
    share = counts.acknowledged_share
    table.add_row(name, *_cells(counts, report.is_comparison), rate, "" if share is None else f"{share:.0%}")


def _rate(rate: float | None) -> str:
    return "?" if rate is None else f"{rate:,.1f}"


def _table(first: str, is_comparison: bool) -> Table:
    table = Table(box=box.SIMPLE_HEAD, header_style="bold", pad_edge=False)
    table.add_column(first, no_wrap=True)
    for name in ("before", "after", "added", "removed", "changed") if is_comparison else ("found",):
        table.add_column(name, justify="right")
    return table


def _cells(counts: Counts, is_comparison: bool) -> list[Text]:
    if not is_comparison:
        return [Text(f"{counts.before:,}")]
    plain = [Text(f"{counts.before:,}"), Text(f"{counts.after:,}")]
    for name in ("added", "removed", "changed"):
        count, (mark, style) = getattr(counts, name), MARKS[name]
        plain.append(Text(f"{mark}{count:,}", style=style) if count else Text("0", style="dim"))
    return plain


def _most(places: Mapping[str, Counts], top: int) -> dict[str, Counts]:
    """Those that differ most, in the order in which they are given."""
    chosen = sorted(places, key=lambda name: weigh(places[name]))[: top or None]
    return {name: counts for name, counts in places.items() if name in chosen}


def _places(
    name: str, places: Mapping[str, Counts], top: int, report: Report, count: int = 0
) -> Iterator[RenderableType]:
    table = _table(name, report.is_comparison)
    for place in list(places)[: top or None]:
        table.add_row(Text(place), *_cells(places[place], report.is_comparison))
    if table.rows:
        yield table
    hidden = max(count, len(places)) - len(table.rows)
    if hidden:
        yield Text(f"and {hidden:,} more (--top 0 shows all)", style="dim")


def example_lines(example: Example, language: Language) -> Text:
    """One example: what became of it, whose it is and why it is one; of a changed one also what it was before."""
    mark, style = MARKS[example.difference]
    shown = example.shown
    when = format_epoch_ms(shown.opened_ms)[:16].replace("T", " ")
    place = f" at {printable(shown.store_id)}" if shown.store_id else ""
    text = Text.assemble(
        (f"{mark} {example.difference} {example.rule}", style),
        f"  {when}  {printable(example.customer_id)}{place}: {_reason(shown, language)}",
    )
    if example.before is not None and example.after is not None:
        text.append("".join(f"\n    {line}" for line in _changes(example.before, example.after, example, language)))
    return text


def _reason(side: Side, language: Language) -> str:
    return printable(side.reason_en if language == "en" else side.reason_he)


def _changes(before: Side, after: Side, example: Example, language: Language) -> Iterator[str]:
    if _reason(before, language) != _reason(after, language):
        yield f"was: {_reason(before, language)}"
    told = {
        "severity": (before.severity, after.severity),
        "opened": (_moment(before.opened_ms), _moment(after.opened_ms)),
        "resolved": (_moment(before.resolved_ms), _moment(after.resolved_ms)),
        "actual": (f"{before.actual:g}", f"{after.actual:g} {after.unit}"),
    }
    yield "; ".join(f"{name}: {told[name][0]} → {told[name][1]}" for name in told if name in example.changed)


def _moment(moment_ms: int | None) -> str:
    return "open" if moment_ms is None else format_epoch_ms(moment_ms)[:19].replace("T", " ")

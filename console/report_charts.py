"""Charts as inline SVG: they take their colours from the page, and in Hebrew they run from right to left. Pure."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

from console.report_html import Markup, join, tag

WIDTH = 480.0
LABELLED_DAYS = 10
HOURS = 24
LOG_STEPS = (1, 10, 60, 600, 3_600, 36_000, 360_000)
_GAP = 8.0


class Bar(NamedTuple):
    """One row: its name, its length now and before, and what stands beside its name."""

    name: str
    now: float
    before: float
    note: str


class Stack(NamedTuple):
    """One row that is shared among parts, each with the class that colours it."""

    name: str
    parts: Sequence[tuple[str, float]]
    note: str


class Range(NamedTuple):
    """One row from a dot to an end, both in seconds; None where there is nothing to draw."""

    name: str
    dot: float | None
    end: float | None
    note: str


class Canvas:
    """Collects shapes; x grows in the direction of reading."""

    def __init__(self, height: float, is_rtl: bool) -> None:
        self.height, self.is_rtl = height, is_rtl
        self._shapes: list[Markup] = []

    def rect(self, x: float, y: float, width: float, height: float, kind: str, **more: str | float) -> None:
        """A box whose first corner is at x."""
        left = WIDTH - x - width if self.is_rtl else x
        self._shapes.append(tag("rect", x=left, y=y, width=width, height=height, class_=kind, **more))

    def line(self, x1: float, y1: float, x2: float, y2: float, kind: str) -> None:
        """A line."""
        self._shapes.append(tag("line", x1=self._x(x1), y1=y1, x2=self._x(x2), y2=y2, class_=kind))

    def dot(self, x: float, y: float, radius: float, kind: str) -> None:
        """A dot."""
        self._shapes.append(tag("circle", cx=self._x(x), cy=y, r=radius, class_=kind))

    def text(self, x: float, y: float, text: str, anchor: str = "start", kind: str = "t") -> None:
        """Text that begins, ends or has its middle at x, as its language is read."""
        # The anchor follows the direction of the text by itself.
        self._shapes.append(tag("text", text, x=self._x(x), y=y, text_anchor=anchor, class_=kind))

    def draw(self, name: str, title: str, what: str) -> Markup:
        """The picture, with a title and a description for those who hear it."""
        return tag(
            "svg",
            tag("title", title, id=f"{name}-title"), tag("desc", what, id=f"{name}-what"), *self._shapes,
            viewBox=f"0 0 {WIDTH:.0f} {self.height:.0f}", role="img", direction="rtl" if self.is_rtl else "ltr",
            aria_labelledby=f"{name}-title", aria_describedby=f"{name}-what",
        )  # fmt: skip

    def _x(self, x: float) -> float:
        return WIDTH - x if self.is_rtl else x


def columns(labels: Sequence[str], now: Sequence[int], before: Sequence[int], is_rtl: bool) -> Canvas:
    """A pair of columns for each day."""
    top, foot, height = 22.0, 26.0, 190.0
    canvas = Canvas(height, is_rtl)
    room, base = height - top - foot, height - foot
    scale = room / max(1, *now, *before)
    step = WIDTH / len(labels)
    width = step * (0.36 if len(labels) <= LABELLED_DAYS else 0.42)
    every = math.ceil(len(labels) / LABELLED_DAYS)
    for number, label in enumerate(labels):
        x = number * step + (step - 2 * width) / 2
        canvas.rect(x, base - before[number] * scale, width, before[number] * scale, "before")
        canvas.rect(x + width, base - now[number] * scale, width, now[number] * scale, "now")
        if len(labels) <= LABELLED_DAYS:
            canvas.text(x + 1.5 * width, base - now[number] * scale - 5, f"{now[number]:,}", "middle", "v")
        if number % every == 0:
            canvas.text(number * step + step / 2, height - 8, label, "middle")
    canvas.line(0, base, WIDTH, base, "axis")
    return canvas


def bars(rows: Sequence[Bar], is_rtl: bool) -> Canvas:
    """A bar for each row below its name, and a thin one for the time before."""
    step = 44.0
    canvas = Canvas(step * len(rows), is_rtl)
    scale = WIDTH / max(1e-9, *(max(row.now, row.before) for row in rows))
    for number, row in enumerate(rows):
        _head(canvas, number * step, row.name, row.note)
        canvas.rect(0, number * step + 20, row.now * scale, 11, "now", rx=2)
        canvas.rect(0, number * step + 32, row.before * scale, 4, "before", rx=2)
    return canvas


def stacks(rows: Sequence[Stack], is_rtl: bool) -> Canvas:
    """A full bar for each row, shared among its parts."""
    step = 44.0
    canvas = Canvas(step * len(rows), is_rtl)
    for number, row in enumerate(rows):
        _head(canvas, number * step, row.name, row.note)
        scale = WIDTH / max(1e-9, sum(value for _, value in row.parts))
        x = 0.0
        for kind, value in row.parts:
            # A hair of room keeps neighbours apart for those who do not see their colours.
            canvas.rect(x, number * step + 20, max(0.0, value * scale - 1.5), 14, kind)
            x += value * scale
    return canvas


def ranges(rows: Sequence[Range], marks: Sequence[str], is_rtl: bool) -> Canvas:
    """A line for each row on a scale that grows tenfold; `marks` name `LOG_STEPS`."""
    step, foot = 42.0, 24.0
    height = step * len(rows) + foot
    canvas = Canvas(height, is_rtl)
    longest = max([row.end or row.dot or 0 for row in rows], default=0)
    shown = [each for each in LOG_STEPS if each <= longest] or [LOG_STEPS[0]]
    scale = (WIDTH - 2 * _GAP) / math.log10(max(longest, 10))
    for seconds, mark in zip(LOG_STEPS, marks, strict=True):
        if seconds in shown:
            x = _log(seconds, scale)
            canvas.line(x, 0, x, height - foot, "mark")
            canvas.text(x, height - 7, mark, "start" if seconds == LOG_STEPS[0] else "middle", "t small")
    for number, row in enumerate(rows):
        _head(canvas, number * step, row.name, row.note)
        y = number * step + 27
        if row.dot is not None and row.end is not None:
            canvas.line(_log(row.dot, scale), y, _log(row.end, scale), y, "range")
            canvas.dot(_log(row.dot, scale), y, 6, "now")
            canvas.rect(_log(row.end, scale) - 1.5, y - 6, 3, 12, "now")
    return canvas


def heat(counts: Sequence[Sequence[int]], names: Sequence[str], is_rtl: bool) -> Canvas:
    """Seven rows of 24 hours; the stronger the colour, the more."""
    left, step, top = 40.0, 18.0, 2.0
    canvas = Canvas(top + 7 * 22 + 22, is_rtl)
    most = max(1, *(count for row in counts for count in row))
    for day, (row, name) in enumerate(zip(counts, names, strict=True)):
        canvas.text(left - 6, top + day * 22 + 15, name, "end")
        for hour, count in enumerate(row):
            x, y = left + hour * step, top + day * 22
            canvas.rect(x, y, step - 2, 20, "cell", rx=2)
            if count:
                canvas.rect(x, y, step - 2, 20, "hot", rx=2, fill_opacity=f"{0.2 + 0.8 * count / most:.2f}")
    for hour in range(0, HOURS, 6):
        canvas.text(left + hour * step + step / 2 - 1, top + 7 * 22 + 15, f"{hour:02}", "middle")
    return canvas


def legend(entries: Sequence[tuple[str, str]]) -> Markup:
    """What the colours mean."""
    return tag("p", join(tag("span", tag("i", class_=f"key {kind}"), text) for kind, text in entries), class_="legend")


def _head(canvas: Canvas, y: float, name: str, note: str) -> None:
    canvas.text(0, y + 14, name)
    canvas.text(WIDTH, y + 14, note, "end", "v")


def _log(seconds: float, scale: float) -> float:
    return _GAP + max(0.0, math.log10(max(seconds, 1))) * scale

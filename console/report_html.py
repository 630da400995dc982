"""HTML and SVG as strings in which everything that is not markup already is escaped. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from html import escape

from console.cells import printable

LEFT_TO_RIGHT_ISOLATE, FIRST_STRONG_ISOLATE, POP_ISOLATE = "\u2066", "\u2068", "\u2069"
_OURS = frozenset((LEFT_TO_RIGHT_ISOLATE, FIRST_STRONG_ISOLATE, POP_ISOLATE))
VOID = frozenset(("meta", "br"))


class Markup(str):
    """Text that is HTML already."""

    __slots__ = ()


def clean(text: str) -> str:
    """Text as HTML; what would turn the reading direction or move a cursor is written out, but for isolates."""
    if isinstance(text, Markup):
        return text
    return escape("".join(each if each in _OURS else printable(each) for each in text))


def tag(name: str, /, *children: str, **attributes: str | float | None) -> Markup:
    """An element. Children that are no `Markup` are escaped, and so is every attribute; None leaves one out.

    `class_` is the attribute class, `text_anchor` is text-anchor.
    """
    shown = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{clean(_attribute(value))}"'
        for key, value in attributes.items()
        if value is not None
    )
    if name in VOID:
        return Markup(f"<{name}{shown}>")
    return Markup(f"<{name}{shown}>{''.join(map(clean, children))}</{name}>")


def join(parts: Iterable[str], between: str = "") -> Markup:
    """Parts one after the other, each escaped unless it is `Markup`."""
    return Markup(clean(between).join(map(clean, parts)))


def table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> Markup:
    """A table whose first column names what the others are about; it scrolls where it is too wide."""
    columns = tag("tr", *(tag("th", each, scope="col") for each in head))
    body = [
        tag("tr", *(tag("td", cell) if number else tag("th", cell, scope="row") for number, cell in enumerate(row)))
        for row in rows
    ]
    inner = tag("table", tag("thead", columns), tag("tbody", *body))
    return tag("div", inner, class_="scroll", tabindex="0")


def _attribute(value: str | float) -> str:
    return value if isinstance(value, str) else f"{value:.1f}".removesuffix(".0")

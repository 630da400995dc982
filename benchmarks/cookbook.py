"""The recipes of docs/cookbook/: a question, SQL, and what that gives for the simulated shop."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

COOKBOOK = Path(__file__).parents[1] / "docs" / "cookbook"
_RECIPE = re.compile(
    r"^### (?P<title>.+?)\n(?P<text>.*?)^```sql\n(?P<sql>.*?)^```\n\n?(?P<table>(?:^\|[^\n]*\n)*)\n?", re.M | re.S
)


class Recipe(NamedTuple):
    """One recipe. `table`: its result as a Markdown table, empty before it was ever run."""

    file: str
    title: str
    sql: str
    table: str


def read_recipes(directory: Path = COOKBOOK) -> Iterator[Recipe]:
    """All recipes: a heading of the third level, a block of SQL, and right after that a table."""
    for path in sorted(directory.glob("*.md")):
        for found in _RECIPE.finditer(path.read_text("utf-8")):
            yield Recipe(path.name, found["title"], found["sql"], found["table"])


def write_table(names: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    """A result as a Markdown table."""
    lines = [names, ["---"] * len(names), *([_cell(value) for value in row] for row in rows)]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def _cell(value: Any) -> str:
    text = "" if value is None else str(value).replace("+00:00", "")
    return text.replace("|", "\\|").replace("\n", " ")


def write_results(results: dict[tuple[str, str], str], directory: Path = COOKBOOK) -> None:
    """Put these tables, by file and title, where the old ones stand."""
    for path in directory.glob("*.md"):

        def replaced(found: re.Match[str], name: str = path.name) -> str:
            table = results.get((name, found["title"]), found["table"])
            return f"### {found['title']}\n{found['text']}```sql\n{found['sql']}```\n\n{table}\n"

        path.write_text(_RECIPE.sub(replaced, path.read_text("utf-8")), "utf-8")

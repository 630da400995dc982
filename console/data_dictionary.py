"""The data dictionary and the sources of dbt, from what the database says of itself.

`python -m console.data_dictionary` writes docs/data-dictionary.md and deploy/dbt/sources.yml.
"""

from __future__ import annotations

import argparse
import re
import tempfile
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from deploy.local.stack import LocalStack
from deploy.services import clickhouse_client_options
from schemas.settings import Settings
from sinks.migrate import migrate
from sinks.writer import ClickHouseWriter

ROOT = Path(__file__).parents[1]
PATH = ROOT / "docs" / "data-dictionary.md"
SOURCES_PATH = ROOT / "deploy" / "dbt" / "sources.yml"
SOURCES_HEAD = """# Made by `python -m console.data_dictionary`, from sinks/migrations/; a test keeps it true.
# For a dbt project: copy it into models/. Views with parameters are no sources; call them in SQL.
"""
TABLES_SQL = (
    "SELECT database, name, engine, comment, partition_key, sorting_key, create_table_query FROM system.tables "
    "WHERE database IN ('analytics', 'journeys') AND name NOT LIKE '.inner%' ORDER BY database, name"
)
COLUMNS_SQL = (
    "SELECT database, table, name, type, comment FROM system.columns "
    "WHERE database IN ('analytics', 'journeys') ORDER BY database, table, position"
)
LIBRARYS_OWN = "schema_versions"
"""Made by the library that runs the migrations."""
FILLS = "MaterializedView"
"""Such a view is no place to read: it fills a table."""
HEAD = """# Data dictionary

<!-- Made by `python -m console.data_dictionary` from sinks/migrations/; a test keeps it true. Edit there, not here. -->

Database `analytics` is for people: its views are deduplicated, and their names and columns stay. How to ask is in the
[cookbook](cookbook.md). Database `journeys` holds the tables behind them, for those who run the platform.

All times are UTC. An empty text means that nothing was said, NULL that there is nothing to say. Columns that begin with
`_` are the platform's own.

## How it hangs together

```mermaid
erDiagram
    customers ||--o{ journeys : "customer_id"
    journeys ||--o{ touchpoints : "journey_id"
    journeys ||--o{ journey_steps : "journey_id"
    journeys ||--o{ promises : "journey_id"
    journeys ||--o{ alerts : "journey_id"
    customers ||--o| customer_scores : "customer_id"
    customers ||--o{ contacts : "customer_id"
    customers ||--o{ orders : "customer_id"
    customers ||--o{ identity : "owner is its record key"
    orders ||--o{ promises : "subject is its order_id"
    identity ||--o{ identity_links : "identifier"
    journey_redirects }o--|| journeys : "journey_id"
    alerts ||--o{ alert_history : "episode_id"
    journeys ||--o{ journey_history : "journey_id"
```
"""


class Column(NamedTuple):
    """A column as the server describes it."""

    name: str
    type: str
    comment: str


class Relation(NamedTuple):
    """A table or view as the server describes it."""

    database: str
    name: str
    engine: str
    comment: str
    partition_key: str
    sorting_key: str
    parameters: tuple[str, ...]
    columns: tuple[Column, ...]


def read_relations(ask: Callable[[str], Iterable[tuple[Any, ...]]]) -> list[Relation]:
    """All tables and views of both databases, in the order of their names."""
    columns: Mapping[tuple[str, str], list[Column]] = defaultdict(list)
    for database, table, *column in ask(COLUMNS_SQL):
        columns[database, table].append(Column(*column))
    return [
        Relation(database, name, engine, comment, by, order, find_parameters(sql), tuple(columns[database, name]))
        for database, name, engine, comment, by, order, sql in ask(TABLES_SQL)
        if name != LIBRARYS_OWN and engine != FILLS
    ]


def find_parameters(sql: str) -> tuple[str, ...]:
    """The parameters of a view, `name Type` each, in the order of first use."""
    return tuple(dict.fromkeys(f"{name} {kind}" for name, kind in re.findall(r"\{(\w+): ?([\w(),' ]+)\}", sql)))


def render(relations: Iterable[Relation]) -> str:
    """The page."""
    return HEAD + "".join(_render_all(list(relations)))


def _render_all(relations: list[Relation]) -> Iterator[str]:
    for database, title in (("analytics", "For analysts: `analytics`"), ("journeys", "Behind them: `journeys`")):
        chosen = [each for each in relations if each.database == database]
        yield f"\n## {title}\n\n| name | holds |\n|---|---|\n"
        yield from (f"| [`{each.name}`](#{_anchor(each)}) | {_cell(each.comment)} |\n" for each in chosen)
        for each in chosen:
            yield from _render(each)


def _anchor(relation: Relation) -> str:
    return f"{relation.database}{relation.name}"


def _render(relation: Relation) -> Iterator[str]:
    yield f"\n### {relation.database}.{relation.name}\n\n{_cell(relation.comment)}\n"
    if relation.sorting_key:
        parts = f", in parts by `{relation.partition_key}`" if relation.partition_key else ""
        yield f"\n{relation.engine}, sorted by `{relation.sorting_key}`{parts}.\n"
    if relation.parameters:
        call = ", ".join(each.split()[0] + "=…" for each in relation.parameters)
        yield f"\nTakes parameters: `{relation.database}.{relation.name}({call})`\n"
        yield "\n| parameter | type |\n|---|---|\n"
        yield from (
            f"| `{name}` | `{kind}` |\n" for name, _, kind in (each.partition(" ") for each in relation.parameters)
        )
    if relation.columns:
        yield "\n| column | type | meaning |\n|---|---|---|\n"
        yield from (f"| `{each.name}` | `{each.type}` | {_cell(each.comment)} |\n" for each in relation.columns)


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")


def render_sources(relations: Iterable[Relation]) -> str:
    """The views of analysts as sources of dbt."""
    tables = [
        {
            "name": each.name,
            "description": each.comment,
            "columns": [{"name": column.name, "description": column.comment} for column in each.columns],
        }
        for each in relations
        if each.database == "analytics" and each.columns
    ]
    source = {"name": "journeys", "schema": "analytics", "tables": tables}
    return SOURCES_HEAD + yaml.safe_dump(
        {"version": 2, "sources": [source]}, sort_keys=False, allow_unicode=True, width=120
    )


def describe_fresh() -> list[Relation]:
    """What there is on a server of its own that has just been migrated."""
    with (
        tempfile.TemporaryDirectory(prefix="journeys-dictionary-") as directory,
        LocalStack(Path(directory), run_kafka=False) as stack,
    ):
        options = clickhouse_client_options(stack.clickhouse_url, Settings.model_construct())
        migrate(options)
        with closing(ClickHouseWriter(options)) as writer:
            return read_relations(writer.query)


def main() -> None:
    """Write the page."""
    argparse.ArgumentParser(
        prog="python -m console.data_dictionary",
        description="Write docs/data-dictionary.md and deploy/dbt/sources.yml, from the comments of tables and views.",
    ).parse_args()
    relations = describe_fresh()
    for path, text in ((PATH, render(relations)), (SOURCES_PATH, render_sources(relations))):
        path.write_text(text, "utf-8")
        print(f"wrote {path.relative_to(ROOT)}")


if __name__ == "__main__":
    main()

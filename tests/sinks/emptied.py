"""A server without any of our databases, before and after."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from sinks.writer import ClickHouseWriter


@contextmanager
def emptied(options: dict[str, Any]) -> Iterator[ClickHouseWriter]:
    """Drop our databases now and at the end; gives a writer to what is left."""
    writer = ClickHouseWriter({**options, "database": "default"})
    _drop(writer)
    try:
        yield writer
    finally:
        _drop(writer)
        writer.close()


def _drop(writer: ClickHouseWriter) -> None:
    for database in ("analytics", "journeys"):
        writer.query(f"DROP DATABASE IF EXISTS {database} SYNC")

"""How a base table's rows travel: plain types over the wire, converted by the server."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

SEPARATOR = "\x1f"


@dataclass(frozen=True)
class Table:
    """A base table's insert. `wire`: (name, type) of what is sent; `derived`: (target column, server's expression).

    Wire columns in `hidden` have no column of their own in the table.
    """

    name: str
    wire: tuple[tuple[str, str], ...]
    derived: tuple[tuple[str, str], ...] = ()
    hidden: frozenset[str] = frozenset()

    @cached_property
    def columns(self) -> tuple[str, ...]:
        """Wire column names, in the order in which data must be given."""
        return tuple(name for name, _ in self.wire)

    @cached_property
    def insert_sql(self) -> str:
        """The INSERT statement for columnar data in `columns` order; in it the server converts wire to table types."""
        targets = [(name, name) for name in self.columns if name not in self.hidden] + list(self.derived)
        structure = ", ".join(f"{name} {kind}" for name, kind in self.wire)
        names = ", ".join(target for target, _ in targets)
        expressions = ", ".join(expression for _, expression in targets)
        return f"INSERT INTO {self.name} ({names}) SELECT {expressions} FROM input('{structure}') FORMAT Native"


def moment_of(name: str) -> tuple[str, str]:
    """A time that travels as `<name>_ms`, epoch milliseconds."""
    return name, f"fromUnixTimestamp64Milli({name}_ms, 'UTC')"


def list_of(name: str) -> tuple[str, str]:
    """Texts that travel as `<name>_joined`."""
    return name, _split(f"{name}_joined")


def _split(joined: str) -> str:
    return f"if({joined} = '', [], splitByChar(char(31), {joined}))"


def parts_of(name: str) -> tuple[str, str]:
    """Numbers by name that travel as `<name>_names` and `<name>_values`."""
    names, values = (_split(f"{name}_{half}") for half in ("names", "values"))
    return name, f"mapFromArrays({names}, arrayMap(x -> toFloat32(x), {values}))"


INGESTED = ("_ingested_at", "now64(3, 'UTC')")
"""When a row is written."""

"""Identifiers of customers who were erased: what comes under them is not taken."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from schemas.links import forgotten_hash


class BlockList:
    """A set of identifiers of which only hashes are kept. Costs next to nothing while it is empty."""

    __slots__ = ("_hashes",)

    def __init__(self) -> None:
        self._hashes: set[str] = set()

    def __len__(self) -> int:
        return len(self._hashes)

    def add(self, identifier: str) -> None:
        """Block a record key, `kind:value`."""
        self._hashes.add(forgotten_hash(identifier))

    def holds(self, identifier: str) -> bool:
        """Whether a record key is blocked."""
        return bool(self._hashes) and forgotten_hash(identifier) in self._hashes

    def load(self, rows: Iterable[Sequence[Any]]) -> None:
        """Block what the rows of `sinks.state_queries.FORGOTTEN` say, besides what is blocked already."""
        self._hashes.update(str(row[0]) for row in rows)

"""Bars: which identifiers a person took from a customer. What comes to him through one of them goes back. Pure.

What a person undid directly the choice leaves out; the bar is against ways around, by other identifiers of his.
"""

from __future__ import annotations

from collections.abc import Iterable

from streams.records import Release


class Bars:
    """The last act of a person on each pair of owner and identifier."""

    def __init__(self) -> None:
        self._acts: dict[str, dict[str, tuple[int, bool]]] = {}
        self._barred: dict[str, frozenset[str]] = {}

    def of(self, owner: str) -> frozenset[str]:
        """The identifiers through which nothing comes to an owner."""
        return self._barred.get(owner, frozenset())

    def note(self, owner: str, act: Release) -> None:
        """Take an act into account."""
        acts = self._acts.setdefault(owner, {})
        acts[act.identifier] = max(acts.get(act.identifier, (0, False)), (act.act_ms, act.is_barred))
        self._barred[owner] = frozenset(name for name, (_, is_barred) in acts.items() if is_barred)

    def load(self, acts: Iterable[tuple[str, str, str, int]]) -> None:
        """Take rows (owner, identifier, rule, when) of `sinks.identity_queries.ACTS` into account."""
        for owner, identifier, rule, act_ms in acts:
            self.note(owner, Release(identifier, 0, act_ms, rule == "unlinked"))

    def drop(self, erased: str) -> None:
        """Forget an erased identifier."""
        self._acts.pop(erased, None)
        self._barred.pop(erased, None)
        for owner, acts in self._acts.items():
            if acts.pop(erased, None) is not None:
                self._barred[owner] -= {erased}

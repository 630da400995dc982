"""Parameters that a statement gives to views which do not take them: ClickHouse passes over them. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Set

TAKES_SQL = """SELECT name, create_table_query FROM system.tables
WHERE database = 'analytics' AND match(create_table_query, '[{]\\\\w+:')"""
"""The views that take parameters, with their SQL."""
_CALL = re.compile(r"\banalytics\s*\.\s*(\w+)\s*\(", re.IGNORECASE)
_TEXT = re.compile(r"'(?:[^'\\]|\\.)*'|--[^\n]*")
_NAME = re.compile(r"(?:^|,)\s*(\w+)\s*=")
_PLACEHOLDER = re.compile(r"\{(\w+):")


def has_calls(statement: str) -> bool:
    """Whether any view is called with parameters at all."""
    return any(names for _, names in _calls(statement))


def parameters_of(create_sql: str) -> frozenset[str]:
    """The parameters that a view takes, by the SQL that made it."""
    return frozenset(_PLACEHOLDER.findall(create_sql))


def find_unheeded(statement: str, takes: Mapping[str, Set[str]]) -> list[str]:
    """A line for each call with parameters that its view does not take; `takes` by name of view."""
    told: dict[str, None] = {}
    for view, names in _calls(statement):
        unheeded = [name for name in names if view in takes and name not in takes[view]]
        if unheeded:
            known = ", ".join(sorted(takes[view]))
            told[f"analytics.{view} does not take {', '.join(unheeded)}, which changes nothing: it takes {known}"] = (
                None
            )
    return list(told)


def _calls(statement: str) -> Iterator[tuple[str, list[str]]]:
    plain = _TEXT.sub("''", statement)
    for call in _CALL.finditer(plain):
        yield call[1], _NAME.findall(_outermost(plain[call.end() :]))


def _outermost(text: str) -> str:
    """What stands before the bracket that closes, without what is in brackets itself."""
    depth, kept = 0, []
    for letter in text:
        depth += (letter in "([") - (letter in ")]")
        if depth < 0:
            break
        if not depth and letter not in ")]":
            kept.append(letter)
    return "".join(kept)

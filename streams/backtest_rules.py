"""What rule files would make of the rules in force."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from schemas.errors import Misconfigured
from streams.backtest import RuleChange
from streams.rules.calendars import Calendar
from streams.rules.loading import (
    RuleFile,
    calendar_paths,
    check_rule_file,
    directories,
    load_rule_set,
    read_calendars,
    read_rule_file,
    read_rule_files,
    rule_paths,
)


def read_change(paths: Sequence[Path], own: Path | None) -> RuleChange:
    """The rules in force, and what they become with rule files, files of calendars and directories of both.

    `own` is the directory of the user's rules that are in force. A file replaces the rule of its id, or adds one, or
    switches one off. Without `paths` nothing changes. Raises Misconfigured, one line, for what no worker would take.
    """
    base = directories(own)
    in_force = load_rule_set(base)
    if not paths:
        return RuleChange(in_force)
    calendars = _read_calendars(paths)
    known = {**_calendars_beside(paths), **in_force.calendars, **calendars}
    files = {file.rule.id: file for file in read_rule_files(base)}
    given: dict[str, RuleFile] = {}
    for path in _rule_files(paths):
        file = read_rule_file(path, files)
        check_rule_file(file, given, known)
        given[file.rule.id] = file
    rules = tuple(file.rule for _, file in sorted((files | given).items()) if file.rule.enabled)
    return RuleChange(in_force, replace(in_force, rules=rules, calendars=known, digest=""), frozenset(calendars))


def _read_calendars(paths: Sequence[Path]) -> dict[str, Calendar]:
    """The calendars that are given: in directories, or as a file of them."""
    found = read_calendars(path for path in paths if path.is_dir())
    for path in paths:
        if _is_calendars(path):
            found |= read_calendars([path.parent])
    return found


def _calendars_beside(paths: Sequence[Path]) -> dict[str, Calendar]:
    """The calendars that lie beside single rules, which may name them."""
    return read_calendars(dict.fromkeys(path.parent for path in paths if path.is_file()))


def _is_calendars(path: Path) -> bool:
    return path.is_file() and path in calendar_paths(path.parent)


def _rule_files(paths: Sequence[Path]) -> list[Path]:
    found: list[Path] = []
    for path in paths:
        if not path.exists():
            raise Misconfigured(f"{path}: no such file or directory")
        if path.is_dir():
            inside = rule_paths(path)
            if not inside and not calendar_paths(path):
                raise Misconfigured(f"{path} holds no rule files (*.yaml)")
            found += inside
        elif not _is_calendars(path):
            found.append(path)
    return found

"""Checking rule files, calendars and scenarios: one file after the other, none stops the others."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import takewhile
from pathlib import Path
from typing import Literal

from schemas.errors import Misconfigured
from schemas.hints import did_you_mean
from schemas.yaml_files import find_line
from streams.rules.calendars import Calendar, parse_calendars
from streams.rules.loading import (
    RuleFile,
    calendar_paths,
    check_rule_file,
    directories,
    read_calendars,
    read_rule_file,
    read_rule_files,
    read_text,
    rule_paths,
    scenario_paths,
)
from streams.rules.scenario_model import parse_scenarios
from streams.rules.scenarios import LATER, run_scenario

Kind = Literal["rule", "calendars", "scenarios"]
SCENARIOS = "scenarios"


@dataclass(frozen=True)
class Checked:
    """What was found of one file: what it holds, a line for each fault, and how many scenarios were run."""

    kind: Kind
    file: str
    detail: str
    faults: tuple[str, ...] = ()
    scenarios: int = 0


@dataclass
class Known:
    """The rules and calendars that hold where a file is checked."""

    files: dict[str, RuleFile] = field(default_factory=dict)
    calendars: dict[str, Calendar] = field(default_factory=dict)

    @classmethod
    def of(cls, kept: Sequence[Path]) -> Known:
        """Those of some directories. Raises Misconfigured where they are broken."""
        return cls({file.rule.id: file for file in read_rule_files(kept)}, read_calendars(kept))


def check_rules(paths: Sequence[Path], own: Path | None) -> Iterator[Checked]:
    """Check files and directories, or the shipped rules and the user's own where none are named.

    The scenarios of a directory are run with its rules and those of the directories before it. Raises Misconfigured
    where those before it are broken, or a path is not there.
    """
    before = directories(own)
    if not paths:
        known = Known()
        for directory in before:
            yield from _check_directory(directory, known)
    for path in paths:
        yield from _check_path(path, before)


def _check_path(path: Path, before: Sequence[Path]) -> Iterator[Checked]:
    if not path.exists():
        raise Misconfigured(f"{path}: no such file or directory")
    home = path if path.is_dir() else path.parent
    is_home_of_scenarios = home.name == SCENARIOS
    if is_home_of_scenarios:
        home = home.parent
    base = [*takewhile(lambda each: each.resolve() != home.resolve(), before)]
    if path.is_dir() and not is_home_of_scenarios:
        yield from _check_directory(path, Known.of(base))
    elif is_home_of_scenarios:
        known = Known.of([*base, home])
        for each in scenario_paths(home) if path.is_dir() else [path]:
            yield _check_scenarios(each, known)
    else:
        yield from _check_file(path, Known.of(base), home)


def _check_directory(directory: Path, known: Known) -> Iterator[Checked]:
    for path in calendar_paths(directory):
        yield _check_calendars(path, known)
    here: dict[str, RuleFile] = {}
    for path in rule_paths(directory):
        yield _check_rule(path, known, here)
    known.files |= here
    for path in scenario_paths(directory):
        yield _check_scenarios(path, known)


def _check_file(path: Path, known: Known, home: Path) -> Iterator[Checked]:
    if path in calendar_paths(home):
        yield _check_calendars(path, known)
        return
    keys = _top_keys(path)
    if SCENARIOS in keys or ("rule" in keys and "id" not in keys):
        yield _check_scenarios(path, known)
        return
    known.calendars |= read_calendars([home])
    here: dict[str, RuleFile] = {}
    yield _check_rule(path, known, here)
    known.files |= here
    for each in scenario_paths(home):
        if each.stem in here:
            yield _check_scenarios(each, known)


def _top_keys(path: Path) -> set[str]:
    try:
        lines = read_text(path).splitlines()
    except Misconfigured:
        # Told where it is checked.
        return set()
    return {line.partition(":")[0] for line in lines if line[:1].isalpha() and ":" in line}


def _check_calendars(path: Path, known: Known) -> Checked:
    try:
        found = parse_calendars(read_text(path), str(path))
    except Misconfigured as error:
        return Checked("calendars", str(path), "", (_without(path, error),))
    known.calendars |= found
    return Checked("calendars", str(path), ", ".join(sorted(found)))


def _check_rule(path: Path, known: Known, here: dict[str, RuleFile]) -> Checked:
    try:
        file = read_rule_file(path, known.files)
        check_rule_file(file, here, known.calendars)
    except Misconfigured as error:
        return Checked("rule", str(path), "", (_without(path, error),))
    here[file.rule.id] = file
    state = "" if file.rule.enabled else ", off"
    instead = ", in place of the shipped one" if file.replaces is not None and file.rule.enabled else ""
    return Checked("rule", str(path), f"{file.rule.id} v{file.rule.version}{state}{instead}")


def _check_scenarios(path: Path, known: Known) -> Checked:
    try:
        text = read_text(path)
        found = parse_scenarios(text, str(path))
    except Misconfigured as error:
        return Checked("scenarios", str(path), "", (_without(path, error),))
    rules = [file.rule for file in known.files.values()]
    ids = [rule.id for rule in rules if rule.enabled]
    if found.rule not in ids:
        mend = did_you_mean(found.rule, ids) or f"known are {', '.join(ids)}"
        line = find_line(text, ("rule",))
        return Checked(
            "scenarios", str(path), "", (f"{line}: rule: there is no rule {found.rule!r} that is on; {mend}",)
        )
    faults: list[str] = []
    for number, scenario in enumerate(found.scenarios):
        told = run_scenario(scenario, found.rule, rules, known.calendars)
        for fault in told:
            line = find_line(text, (SCENARIOS, number, "expect_later" if fault.startswith(LATER) else "expect"))
            faults.append(f"{line}: {scenario.name}: {fault}")
    count = len(found.scenarios)
    return Checked("scenarios", str(path), f"{count} of {found.rule}", tuple(faults), count)


def _without(path: Path, error: Misconfigured) -> str:
    """The message without the file, which stands before it anyway: `12: …` names the line."""
    return str(error).removeprefix(f"{path}:").removeprefix(f"{path}").strip()

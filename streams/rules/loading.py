"""Reading rule files and calendars. The only part of the rules that touches the disk."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import model_validator

from schemas.errors import Misconfigured
from schemas.faults import FaultAt
from schemas.hints import did_you_mean
from schemas.yaml_files import parse_yaml
from streams.rules.calendars import Calendar, parse_calendars
from streams.rules.model import PRIMITIVES, Rule
from streams.rules.patterns import Part

SHIPPED = Path(__file__).parent
CALENDARS = "calendars.yaml"
SUFFIXES = (".yaml", ".yml")
LARGEST_BYTES = 1_048_576
_A_RULE = "a rule file has `id:`, `version:`, `severity:`, its texts and one of wait, repeat, deadline, sequence, …"


class SwitchedOff(Part):
    """A file that says no more than that a rule is off. The version may stand there, and means nothing."""

    id: str
    """The rule that is off."""
    version: int | None = None
    enabled: Literal[False]
    """`false`."""

    @model_validator(mode="before")
    @classmethod
    def _refuse_more(cls, found: Any) -> Any:
        more = next((key for key in found if key not in cls.model_fields), None) if isinstance(found, dict) else None
        if more is not None:
            raise FaultAt(
                "to switch a rule off write only `id` and `enabled: false`; a whole rule has its limits too", more
            )
        return found


@dataclass(frozen=True)
class RuleFile:
    """One rule, the file that it comes from, and the file whose rule of the same id it takes the place of."""

    rule: Rule
    path: Path
    replaces: Path | None = None


@dataclass(frozen=True)
class RuleSet:
    """The rules that are on, by id, with the calendars that they may name.

    `digest` changes when a rule or a file of calendars does; a comment in a rule file changes nothing.
    """

    rules: tuple[Rule, ...]
    calendars: Mapping[str, Calendar]
    digest: str


def directories(own: Path | None) -> tuple[Path, ...]:
    """Where rules are read from: the shipped ones, then the user's own (setting `rules_dir`)."""
    return (SHIPPED,) if own is None else (SHIPPED, own)


def load_rules(directories: Iterable[Path] = (SHIPPED,)) -> tuple[Rule, ...]:
    """The rules of `load_rule_set`."""
    return load_rule_set(directories).rules


def load_rule_set(directories: Iterable[Path] = (SHIPPED,)) -> RuleSet:
    """All rules that are on. A later directory's rule or calendar takes the place of an earlier one of the same name.

    Raises Misconfigured: one line with file, place, what is wrong and how it is mended.
    """
    kept = tuple(directories)
    rules = tuple(found.rule for found in read_rule_files(kept) if found.rule.enabled)
    texts = [read_text(path) for path in _calendar_files(kept)]
    hashed = hashlib.sha256()
    for text in (*(rule.model_dump_json() for rule in rules), *texts):
        hashed.update(text.encode() + b"\0")
    return RuleSet(rules, read_calendars(kept), hashed.hexdigest())


def read_rule_files(directories: Iterable[Path]) -> tuple[RuleFile, ...]:
    """All rules of the directories, by id, also those that are off. Raises Misconfigured as `load_rule_set` does."""
    kept = tuple(directories)
    calendars = read_calendars(kept)
    found: dict[str, RuleFile] = {}
    for directory in kept:
        here: dict[str, RuleFile] = {}
        for path in rule_paths(directory):
            file = read_rule_file(path, found)
            check_rule_file(file, here, calendars)
            here[file.rule.id] = file
        found |= here
    return tuple(found[name] for name in sorted(found))


def rule_paths(directory: Path) -> list[Path]:
    """The rule files of a directory. Raises Misconfigured where it is none."""
    if not directory.is_dir():
        raise Misconfigured(f"{directory} is no directory of rule files")
    return [path for path in _yaml_files(directory) if path.stem != Path(CALENDARS).stem]


def scenario_paths(directory: Path) -> list[Path]:
    """The scenario files that belong to a directory of rules."""
    return _yaml_files(directory / "scenarios")


def _yaml_files(directory: Path) -> list[Path]:
    return sorted(path for path in directory.glob("*") if path.suffix in SUFFIXES) if directory.is_dir() else []


def parse_rule(text: str, name: str) -> Rule:
    """One rule from YAML text. Raises Misconfigured with one line: file, line, place, what is wrong."""
    return parse_yaml(text, name, Rule, _A_RULE)


def read_rule_file(path: Path, earlier: Mapping[str, RuleFile]) -> RuleFile:
    """What one file makes of the rules of earlier directories. Raises Misconfigured."""
    text = read_text(path)
    if not _is_switch(text):
        rule = parse_rule(text, str(path))
        replaced = earlier.get(rule.id)
        return RuleFile(rule, path, replaced.path if replaced is not None else None)
    name = parse_yaml(text, str(path), SwitchedOff, _A_RULE).id
    if name not in earlier:
        hint = did_you_mean(name, earlier) or f"known are {', '.join(sorted(earlier)) or 'none'}"
        raise Misconfigured(f"{path}: id: there is no rule {name!r} to switch off; {hint}")
    former = earlier[name]
    return replace(former, rule=former.rule.model_copy(update={"enabled": False}), path=path, replaces=former.path)


def _is_switch(text: str) -> bool:
    if "enabled" not in text:
        return False
    try:
        found = yaml.safe_load(text)
    except (yaml.YAMLError, ValueError, RecursionError):
        return False
    if not isinstance(found, dict):
        return False
    is_whole = not found.keys().isdisjoint(PRIMITIVES)
    return found.keys() <= {"id", "version", "enabled"} or (found.get("enabled") is False and not is_whole)


def read_calendars(directories: Iterable[Path]) -> dict[str, Calendar]:
    """The calendars of all directories, by name. Raises Misconfigured."""
    found: dict[str, Calendar] = {}
    for path in _calendar_files(directories):
        found |= parse_calendars(read_text(path), str(path))
    return found


def _calendar_files(directories: Iterable[Path]) -> list[Path]:
    return [path for each in directories for path in calendar_paths(each)]


def calendar_paths(directory: Path) -> list[Path]:
    """The file of calendars of a directory, where it has one."""
    return [path for path in _yaml_files(directory) if path.stem == Path(CALENDARS).stem]


def check_rule_file(file: RuleFile, beside: Mapping[str, RuleFile], calendars: Mapping[str, Calendar]) -> None:
    """Raise Misconfigured where another file of its directory has its id, or its calendar is not there."""
    name, calendar = file.rule.id, file.rule.calendar
    if name in beside and beside[name].path.resolve() == file.path.resolve():
        raise Misconfigured(f"{file.path} is given twice: leave it out once")
    if name in beside:
        raise Misconfigured(f"{file.path}: rule {name!r} stands in {beside[name].path.name} too; give one another id")
    if calendar is None or calendar in calendars:
        return
    lines = enumerate(read_text(file.path).splitlines(), 1)
    line = next((number for number, text in lines if text.startswith("calendar:")), 1)
    known = f"known are {', '.join(sorted(calendars)) or f'none: write them into {CALENDARS}'}"
    mend = " ".join(filter(None, (did_you_mean(calendar, calendars), known)))
    raise Misconfigured(f"{file.path}:{line}: calendar: there is no calendar {calendar!r}; {mend}")


def read_text(path: Path) -> str:
    """A file's text. Raises Misconfigured, also for one that is too large to be meant."""
    try:
        size_bytes = path.stat().st_size
        if size_bytes > LARGEST_BYTES:
            raise Misconfigured(
                f"{path}: it has {size_bytes:,} bytes, and at most {LARGEST_BYTES:,} are read: split it"
            )
        return path.read_bytes().decode("utf-8")
    except UnicodeDecodeError as error:
        raise Misconfigured(f"{path}: not YAML: byte {error.start} is not UTF-8") from error
    except OSError as error:
        raise Misconfigured(f"{path}: cannot be read: {error.strerror}") from error

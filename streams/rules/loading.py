"""Reading rule files. The only part of the rules that touches the disk."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import yaml
from pydantic import ValidationError

from schemas.errors import Misconfigured
from streams.rules.model import Rule

SHIPPED = Path(__file__).parent


def parse_rule(text: str, name: str) -> Rule:
    """One rule from YAML text. Raises Misconfigured with one line: file, place, what is wrong."""
    try:
        return Rule.model_validate(yaml.safe_load(text))
    except yaml.YAMLError as error:
        raise Misconfigured(f"{name}: no valid YAML: {' '.join(str(error).split())}") from error
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"]) or "the file"
        raise Misconfigured(f"{name}: {place}: {first['msg'].removeprefix('Value error, ')}") from error


def load_rules(directories: Iterable[Path] = (SHIPPED,)) -> tuple[Rule, ...]:
    """All rules of the directories, by id. Raises Misconfigured for a bad file or an id that is there twice."""
    rules: dict[str, Rule] = {}
    for directory in directories:
        if not directory.is_dir():
            raise Misconfigured(f"{directory} is no directory of rule files")
        for path in sorted(directory.glob("*.yaml")):
            rule = _read_rule(path)
            if rule.id in rules:
                raise Misconfigured(f"{path.name}: rule {rule.id!r} is defined twice; give one of them another id")
            rules[rule.id] = rule
    return tuple(rules[name] for name in sorted(rules))


def _read_rule(path: Path) -> Rule:
    try:
        return parse_rule(path.read_bytes().decode("utf-8"), path.name)
    except UnicodeDecodeError as error:
        raise Misconfigured(f"{path.name}: no valid YAML: byte {error.start} is not UTF-8") from error
    except OSError as error:
        raise Misconfigured(f"{path.name}: cannot be read: {error.strerror}") from error

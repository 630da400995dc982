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
        for path in sorted(directory.glob("*.yaml")):
            rule = parse_rule(path.read_text(encoding="utf-8"), path.name)
            if rule.id in rules:
                raise Misconfigured(f"{path.name}: rule {rule.id!r} is defined twice; give one of them another id")
            rules[rule.id] = rule
    return tuple(rules[name] for name in sorted(rules))

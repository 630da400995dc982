"""What is wrong in a file is told with the line where it stands and the keys that may stand there."""

from __future__ import annotations

from datetime import timedelta
from typing import Literal

import pytest
from pydantic import BaseModel, ConfigDict, Field, RootModel, model_validator

from schemas.durations import Duration
from schemas.errors import Misconfigured
from schemas.faults import FaultAt
from schemas.yaml_files import parse_yaml


class Part(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Leaf(Part):
    colour: Literal["red", "green"] = "red"
    as_: str = Field("", alias="as")


class Named(Part):
    label: str = Field(description="What it is\n called.")


class Pair(Part):
    low: int
    high: int

    @model_validator(mode="after")
    def _check(self) -> Pair:
        if self.high <= self.low:
            raise FaultAt("it must be above low", "high")
        return self


class Tree(Part):
    leaves: tuple[Leaf, ...] = ()
    fixed: tuple[int, Leaf] | None = None
    named: dict[str, Leaf] = Field(default_factory=dict)
    single: Leaf | None = None
    on: str = ""
    count: int = Field(1, ge=1, le=9)
    is_old: bool = False
    span: Duration = Field(timedelta(1), ge=timedelta(milliseconds=1))
    name: str = Field("ab", min_length=2)
    some: tuple[Named, ...] = Field((), min_length=1)
    pair: Pair | None = None
    from_: Leaf | None = Field(None, alias="from")


class Forest(RootModel[dict[str, Tree]]):
    pass


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("leafs: []", "t.yaml:1: leafs: unknown key; did you mean leaves? known are leaves, fixed, named"),
        ("leaves:\n- colour: red\n- color: red", "t.yaml:3: leaves.1.color: unknown key; did you mean colour? known"),
        ("fixed:\n- 1\n- {color: red}", "t.yaml:3: fixed.1.color: unknown key; did you mean colour? known"),
        ("named:\n  one:\n    as_: x", "t.yaml:3: named.one.as_: unknown key; did you mean as? known are colour, as"),
        ("single:\n  size: 1", "t.yaml:2: single.size: unknown key; known are colour, as"),
        ("from:\n  size: 1", "t.yaml:2: from.size: unknown key; known are colour, as"),
        ("single:\n  colour: gren", "t.yaml:2: single.colour: write red or green; did you mean green?"),
        ("leaves:\n  - 5", "t.yaml:2: leaves.0: write keys with their values; its keys are colour, as"),
        ("\nleaves: 5", "t.yaml:2: leaves: write a list, such as [a, b]"),
        ("on: 5", 't.yaml:1: on: write a text; in quotes a number is one, "5"'),
        ("on: [a]", "t.yaml:1: on: write a text"),
        ("count: 0", "t.yaml:1: count: write a number of at least 1"),
        ("count: 10", "t.yaml:1: count: write a number of at most 9"),
        ("count: many", "t.yaml:1: count: write a whole number"),
        ("is_old: maybe", "t.yaml:1: is_old: write true or false"),
        ("span: 0s", "t.yaml:1: span: write a time longer than 0s, such as 90s or 10m"),
        ("span: PX", "t.yaml:1: span: write a time as 90s, 30m, 12h or 14d"),
        ("name: ''", "t.yaml:1: name: write a text of at least 2 characters; an empty one says nothing"),
        ("some: []", "t.yaml:1: some: give at least one, such as [a]"),
        ("some:\n- root: 1\n-\n  label: 2", "t.yaml:2: some.0.root: unknown key; known are label"),
        ("some:\n- {}", "t.yaml:2: some.0.label: it is missing: What it is called."),
        ("pair:\n  low: 2\n  high: 1", "t.yaml:3: pair.high: it must be above low"),
        ("on: a\non: b", "t.yaml:2: not YAML: 'on' stands twice"),
        ("on: &a [*a", "t.yaml:1: not YAML: "),
        ("on: 'a\nb: c", "t.yaml:1: not YAML: "),
        ("leaves\non: a", "t.yaml:1: not YAML: "),
        ("- on", "t.yaml:1: a tree has leaves"),
        ("", "t.yaml:1: is empty: a tree has leaves"),
        ("# nothing", "t.yaml:1: is empty: a tree has leaves"),
        ("[" * 5000, "t.yaml:1: not YAML: brackets or keys are nested too deep"),
    ],
    ids=lambda value: value[:20],
)  # fmt: skip
def test_a_fault_is_told_in_one_line(text: str, told: str) -> None:
    with pytest.raises(Misconfigured) as refused:
        parse_yaml(text, "t.yaml", Tree, "a tree has leaves")
    assert str(refused.value).startswith(told) and "\n" not in str(refused.value)


def test_keys_below_a_root_model_are_known_too() -> None:
    with pytest.raises(Misconfigured, match=r"^f:2: oak.leafs: unknown key; did you mean leaves\?"):
        parse_yaml("oak:\n  leafs: []", "f", Forest, "")


def test_keys_and_days_are_the_text_that_stands_there() -> None:
    found = parse_yaml("on: 2026-12-24\nnamed: {yes: {}, 1: {}, 2026-01-01: {}}", "t", Tree, "")
    assert found.on == "2026-12-24" and list(found.named) == ["yes", "1", "2026-01-01"]

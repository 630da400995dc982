"""What is wrong in a file is told with the line where it stands and the keys that may stand there."""

from __future__ import annotations

from typing import Literal

import pytest
from pydantic import BaseModel, ConfigDict, Field, RootModel

from schemas.errors import Misconfigured
from schemas.yaml_files import parse_yaml


class Part(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Leaf(Part):
    colour: Literal["red", "green"] = "red"
    as_: str = Field("", alias="as")


class Tree(Part):
    leaves: tuple[Leaf, ...] = ()
    fixed: tuple[int, Leaf] | None = None
    named: dict[str, Leaf] = Field(default_factory=dict)
    single: Leaf | None = None
    on: str = ""
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
        ("single:\n  colour: gren", "t.yaml:2: single.colour: Input should be 'red' or 'green'; did you mean green?"),
        ("leaves:\n  - 5", "t.yaml:2: leaves.0: Input should be a mapping; its keys are colour, as"),
        ("\nleaves: 5", "t.yaml:2: leaves: Input should be a list, such as [a, b]"),
        ("on: 5", "t.yaml:1: on: Input should be a valid string"),
        ("on: a\non: b", "t.yaml:2: not YAML: 'on' stands twice"),
        ("on: &a [*a", "t.yaml:1: not YAML: "),
        ("on: 'a\nb: c", "t.yaml:1: not YAML: "),
        ("leaves\non: a", "t.yaml:1: not YAML: "),
        ("- on", "t.yaml:1: a tree has leaves"),
        ("", "t.yaml:1: a tree has leaves"),
        ("[" * 5000, "t.yaml:1: not YAML: "),
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

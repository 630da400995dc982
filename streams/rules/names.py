"""The names that a rule's conditions may use, with the kind of value behind each, taken from the catalogue."""

from __future__ import annotations

import types
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from schemas.catalogue import BY_NAME, SOURCES
from schemas.hints import did_you_mean

Kind = Literal["text", "number", "truth", "moment"]
ENVELOPE = ("type", "source", "channel", "order_id", "case_id", "store_id", "agent_id")
_KINDS: dict[Any, Kind] = {str: "text", int: "number", float: "number", bool: "truth", datetime: "moment"}


@dataclass(frozen=True, slots=True)
class Name:
    """One name: the kind of its values, and all of them where the catalogue states a few.

    `is_field`: it belongs to the envelope. `is_property`: it is a property; where it is both, the field comes first.
    """

    text: str
    kind: Kind
    choices: tuple[str, ...] = ()
    is_field: bool = False
    is_property: bool = True


_SEGMENT = Name("segment", "text")
_SPOKEN: dict[Kind, str] = {"text": "text", "number": "number", "truth": "true or false", "moment": "moment"}


def names_of(types_: Sequence[str]) -> dict[str, Name]:
    """Every name that a condition on touchpoints of these types may use.

    Raises ValueError for a type that is not catalogued, and for types that use one name for different kinds.
    """
    names = {field: _field(field) for field in ENVELOPE}
    names |= {"type": _field("type", tuple(types_)), "source": _field("source", SOURCES), _SEGMENT.text: _SEGMENT}
    for type_ in types_:
        for name in properties_of(type_):
            names[name.text] = _join(names[name.text], name) if name.text in names else name
    return names


def _field(name: str, choices: tuple[str, ...] = ()) -> Name:
    return Name(name, "text", choices, is_field=True, is_property=False)


def properties_of(type_: str) -> tuple[Name, ...]:
    """The typed properties of one type. Raises ValueError for a type that is not catalogued."""
    if type_ not in BY_NAME:
        hint = did_you_mean(type_, BY_NAME)
        raise ValueError(f"the catalogue has no touchpoint type {type_!r}" + (f"; {hint}" if hint else ""))
    fields = BY_NAME[type_].properties.model_fields
    return tuple(Name(name, *_kind_of(field.annotation)) for name, field in fields.items())


def _join(one: Name, other: Name) -> Name:
    if one.kind != other.kind:
        raise ValueError(f"{one.text!r} is a {one.kind} in one place and a {other.kind} in another: name fewer types")
    choices = tuple(dict.fromkeys(one.choices + other.choices)) if one.choices and other.choices else ()
    return Name(one.text, one.kind, choices, one.is_field)


def _kind_of(annotation: Any) -> tuple[Kind, tuple[str, ...]]:
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Literal:
        return "text", arguments
    if origin is Annotated:
        return _kind_of(arguments[0])
    if origin in (Union, types.UnionType):
        return _kind_of(next(member for member in arguments if member is not type(None)))
    return _KINDS[annotation], ()


def names_table() -> str:
    """The properties of each type that has some, as a Markdown table."""
    rows = [(type_, properties_of(type_)) for type_ in BY_NAME]
    lines = [f"| `{type_}` | {', '.join(map(_spoken, names))} |" for type_, names in rows if names]
    return "\n".join(["| type | properties |", "|---|---|", *lines])


def _spoken(name: Name) -> str:
    choices = ", ".join(f"`{choice}`" for choice in name.choices)
    return f"`{name.text}` {_SPOKEN[name.kind]}" + (f" ({choices})" if choices else "")

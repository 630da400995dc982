"""How rows of a file become touchpoints: a YAML mapping, checked before the first row is read."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping as Row
from pathlib import Path
from string import Formatter
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    StringConstraints,
    field_validator,
    model_validator,
)

from schemas.hints import did_you_mean
from schemas.identifiers import KINDS
from schemas.text_files import read_text
from schemas.touchpoint import Touchpoint
from schemas.yaml_files import parse_yaml
from schemas.zones import Zone
from schemas.zones import read_zone as read_zone

Scalar = str | int | float | bool
ValueType = Literal["text", "int", "float", "bool", "time"]
Column = Annotated[str, StringConstraints(min_length=1)]

_PLAIN = [name for name in Touchpoint.model_fields if name not in ("identifiers", "properties")]
FIELDS = (*_PLAIN, *(f"identifiers.{kind}" for kind in KINDS), "properties.<name>")
LINE = "_line"
"""As a column, and in templates: the number of the row's last line in its file, the first line being 1."""
EPOCH_UNITS_MS = {"epoch_s": 1000, "epoch_ms": 1}
TIMES = frozenset({"occurred_at", "sent_at", "received_at"})


def _check_format(form: str) -> str:
    if form != "iso" and form not in EPOCH_UNITS_MS and "%" not in form:
        raise ValueError(f"{form!r}: use iso, epoch_s, epoch_ms or a pattern such as %d/%m/%Y %H:%M")
    if "%Z" in form:
        raise ValueError(
            f"{form!r}: the name of a zone is read and not used: take %z (+0200), or `zone` for all of them"
        )
    return form


def _check_field_name(name: str) -> str:
    if name not in FIELDS and not (name.startswith("properties.") and name != "properties."):
        hint = did_you_mean(name, FIELDS) or f"use one of {', '.join(FIELDS)}"
        raise ValueError(f"{name!r} is no field of a touchpoint: {hint}")
    return name


TimeFormat = Annotated[str, AfterValidator(_check_format)]
FieldName = Annotated[str, AfterValidator(_check_field_name)]


class Rule(BaseModel):
    """Where one field's value comes from: exactly one of `column`, `constant` and `template`.

    Without `as`, the envelope is text, times and a whole number, and a property is what its row holds.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)

    column: Column | None = Field(None, description="the column that holds the value, or a path into nested objects")
    constant: Scalar | None = Field(None, description="the same value in each row")
    template: Annotated[str, StringConstraints(min_length=1)] | None = Field(
        None, description="text with columns in braces; nothing where one of them is empty"
    )
    values: dict[str, Scalar | None] | None = Field(
        None,
        description="replaces values, written exactly as they stand in the row; one that becomes null skips its row",
    )
    unlisted: Literal["reject", "keep", "skip"] = Field(
        "reject", description="what becomes of a value, or of its row, that `values` does not list"
    )
    otherwise: Scalar | None = Field(
        None, description="replaces each value that `values` does not list, in the place of `unlisted`"
    )
    default: Scalar | None = Field(
        None, description="stands in where the row has nothing; goes through `values` and `as` too"
    )
    as_: ValueType | None = Field(None, alias="as", description="what the value is turned into")
    format: TimeFormat | None = Field(None, description="how a time is written (`iso` if it is not stated)")
    zone: Zone | None = Field(None, description="zone of times that state none, in the place of the file's `zone`")

    @field_validator("template")
    @classmethod
    def _check_template(cls, template: str | None) -> str | None:
        template_parts(template or "")
        return template

    @model_validator(mode="after")
    def _check_origin(self) -> Rule:
        given = [name for name in ("column", "constant", "template") if getattr(self, name) is not None]
        if len(given) != 1:
            raise ValueError("give exactly one of column, constant and template")
        if self.otherwise is not None and (self.values is None or "unlisted" in self.model_fields_set):
            raise ValueError("otherwise stands for what `values` does not list: give `values`, and no `unlisted`")
        return self

    def type_in(self, field: str) -> ValueType | None:
        """What a field's values are turned into: the envelope's times into times, unless stated otherwise."""
        return self.as_ or ("time" if field in TIMES else "int" if field == "schema_version" else None)


class Mapping(BaseModel):
    """A whole mapping file: the fields of the envelope by name, `zone` (IANA) for times that state none."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    format: Literal["csv", "ndjson"] | None = Field(
        None, description="what the rows are, whatever the file is called; not heeded for Parquet"
    )
    delimiter: Annotated[str, StringConstraints(min_length=1, max_length=1)] = Field(
        ",", description="what stands between the cells of CSV"
    )
    zone: Zone | None = Field(None, description="zone (IANA) of times that state none")
    fields: dict[FieldName, Rule] = Field(description="a rule for each field of a touchpoint")

    @field_validator("fields", mode="before")
    @classmethod
    def _read_shorthand(cls, fields: Any) -> Any:
        if not isinstance(fields, dict):
            return fields
        return {name: {"column": rule} if isinstance(rule, str) else rule for name, rule in fields.items()}

    @field_validator("fields")
    @classmethod
    def _check_fields(cls, fields: dict[str, Rule]) -> dict[str, Rule]:
        missing = [name for name in ("event_id", "source", "type", "occurred_at") if name not in fields]
        if missing:
            raise ValueError(f"a touchpoint needs {' and '.join(missing)}: say where from")
        if not any(name.startswith("identifiers.") for name in fields):
            raise ValueError(f"a touchpoint needs an identifier: map one of identifiers.{', identifiers.'.join(KINDS)}")
        return fields

    def columns(self) -> set[str]:
        """Every column that a row must have for this mapping, without those that this package adds."""
        named = {rule.column for rule in self.fields.values() if rule.column}
        for rule in self.fields.values():
            named |= {name for _, name in template_parts(rule.template or "") if name}
        return named - {LINE}


def template_parts(template: str) -> list[tuple[str, str | None]]:
    """Text before, and name of, each column in `"{user_id}-{_line}"`. Raises ValueError, saying what is wrong."""
    parts = list(Formatter().parse(template))
    if any(name == "" or form or conversion for _, name, form, conversion in parts):
        raise ValueError("name a column inside each pair of braces and nothing else: {user_id}")
    return [(text, name) for text, name, _, _ in parts]


def digest_of(mapping: Mapping | None) -> str:
    """What tells one mapping, or none, from another."""
    return hashlib.sha256((mapping.model_dump_json() if mapping else "").encode()).hexdigest()


def load_mapping(path: Path) -> Mapping:
    """Read a mapping file. Raises `Misconfigured`, one line naming file, line and mend."""
    return parse_mapping(read_text(path), str(path))


def parse_mapping(text: str, name: str) -> Mapping:
    """The mapping that a YAML text states; `name` stands in messages. Raises `Misconfigured`."""
    return parse_yaml(text, name, Mapping, "a mapping has `fields:` with a rule for each field of a touchpoint")


def lookup(row: Row[str, Any], column: str) -> Any:
    """A row's value: the column of that name, otherwise the path `a.b.c` into nested objects; None if absent."""
    if column in row:
        return row[column]
    found: Any = row
    for part in column.split("."):
        if not isinstance(found, dict) or part not in found:
            return None
        found = found[part]
    return found

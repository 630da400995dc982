"""How dead letters are edited before they are sent again: a YAML file, checked before the first letter is read."""

from __future__ import annotations

import codecs
import copy
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints, field_validator

from producers.mapped_rows import Rejected, compile_rule
from producers.mapping import TIMES, FieldName, Rule, Scalar, lookup
from schemas.errors import Misconfigured, Undecodable
from schemas.text_files import read_text
from schemas.yaml_files import parse_yaml
from schemas.zones import Zone

LETTER = "_letter"
"""As a column, and in templates: the id of the dead letter, which no other has."""
EXPECTED = "what to edit is said by `set:`, `rename:`, `values:`, `remove:`, `zone:` and `encoding:`"


def _check_encoding(name: str) -> str:
    try:
        "".encode(name)
        return codecs.lookup(name).name
    except LookupError as error:
        raise ValueError(f"{name!r} is no encoding of text: it is named as in windows-1255 or latin-1") from error


Place = Annotated[str, StringConstraints(min_length=1)]
Encoding = Annotated[str, AfterValidator(_check_encoding)]


class Edits(BaseModel):
    """One file of edits. They are made in this order, and what they do not name stays as it is.

    `encoding` reads what is no UTF-8; `rename` moves a value, from any path `a.b` of the record to a field of a
    touchpoint; `values` replaces values of a field, and leaves out the letter where one is null; `set` gives a field a
    value, stated as it is or by a rule of the mapping language; `remove` takes away; `zone` is of times without one.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)

    encoding: Encoding | None = None
    rename: dict[Place, FieldName] = Field(default_factory=dict)
    values: dict[FieldName, dict[str, Scalar | None]] = Field(default_factory=dict)
    set_: dict[FieldName, Rule] = Field(default_factory=dict, alias="set")
    remove: tuple[Place, ...] = ()
    zone: Zone | None = None

    @field_validator("set_", mode="before")
    @classmethod
    def _read_shorthand(cls, rules: Any) -> Any:
        if not isinstance(rules, dict):
            return rules
        plain = (str, int, float, bool)
        return {name: {"constant": rule} if isinstance(rule, plain) else rule for name, rule in rules.items()}


def load_edits(path: Path) -> Edits:
    """Read a file of edits. Raises `Misconfigured`, one line naming file, line and mend."""
    return parse_edits(read_text(path), str(path))


def parse_edits(text: str, name: str) -> Edits:
    """The edits that a YAML text states; `name` stands in messages. Raises `Misconfigured`."""
    edits = parse_yaml(text, name, Edits, EXPECTED)
    if edits == Edits():
        raise Misconfigured(f"{name}:1: it edits nothing: {EXPECTED}")
    return edits


class Editor:
    """Compiled edits."""

    def __init__(self, edits: Edits) -> None:
        self._edits = edits
        rules = [
            (field, Rule.model_validate({"column": field, "values": each, "unlisted": "keep"}))
            for field, each in edits.values.items()
        ]
        rules += edits.set_.items()
        self._rules = [(field, compile_rule(rule, field, edits.zone)) for field, rule in rules]
        unstated = TIMES - edits.set_.keys() if edits.zone else frozenset()
        rule = Rule.model_validate({"column": "time", "format": "iso"})
        self._times = [(field, compile_rule(rule, field, edits.zone)) for field in sorted(unstated)]

    def decode(self, raw: bytes) -> bytes:
        """The record as UTF-8. Raises `Undecodable` when it is not in the encoding that was stated either."""
        encoding = self._edits.encoding
        if encoding is None or _is_utf8(raw):
            return raw
        try:
            return raw.decode(encoding).encode()
        except UnicodeError as error:
            raise Undecodable("invalid_utf8", f"it is neither UTF-8 nor {encoding}: {error}") from error

    def edit(self, found: Mapping[str, Any], letter: str) -> dict[str, Any]:
        """The record with the edits made; the given one stays as it is. Raises `Rejected` and `Skipped`."""
        edited = copy.deepcopy(dict(found))
        for path, field in self._edits.rename.items():
            value = _take(edited, path)
            if value is not None:
                _put(edited, field, value)
        for field, value_of in self._rules:
            value = value_of({**edited, LETTER: letter}, 0)
            if value is not None:
                _put(edited, field, value)
        for path in self._edits.remove:
            _take(edited, path)
        for field, value_of in self._times:
            if _is_naive(edited.get(field)):
                edited[field] = value_of({"time": edited[field]}, 0)
        return edited


def _is_utf8(raw: bytes) -> bool:
    try:
        raw.decode()
    except UnicodeDecodeError:
        return False
    return True


def _is_naive(value: Any) -> bool:
    try:
        return isinstance(value, str) and datetime.fromisoformat(value).tzinfo is None
    except ValueError:
        return False


def _take(row: dict[str, Any], path: str) -> Any:
    """Remove a value and return it; None if it is not there."""
    if path in row:
        return row.pop(path)
    outer, _, name = path.rpartition(".")
    found = lookup(row, outer) if outer else None
    return found.pop(name, None) if isinstance(found, dict) else None


def _put(row: dict[str, Any], field: str, value: Any) -> None:
    outer, _, name = field.partition(".")
    if not name:
        row[field] = value
        return
    if row.get(outer) is None:
        row[outer] = {}
    if not isinstance(row[outer], dict):
        raise Rejected("invalid_field", f"{outer}: it is no object, so there is no {field} in it")
    row[outer][name] = value

"""One row of a file to one touchpoint, by a mapping: pure, and every row ends as mapped, skipped or rejected."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime, tzinfo
from typing import Any

from producers import mapping as m
from schemas.errors import JourneysError
from schemas.moments import format_epoch_ms

Row = Mapping[str, Any]
Value = Callable[[Row, int], Any]

_TRUTHS = {"true": True, "1": True, "yes": True, "y": True, "t": True}
_UNTRUTHS = {"false": False, "0": False, "no": False, "n": False, "f": False}
_BOOLS = _TRUTHS | _UNTRUTHS


class Rejected(JourneysError):
    """A row that cannot be mapped; `reason` is a code of `schemas.dead_letter` or of this module, `detail` one line."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail


class Skipped(Exception):
    """A row that the mapping says to leave out."""


class RowMapper:
    """A compiled mapping."""

    def __init__(self, mapping: m.Mapping) -> None:
        self._values = [(field.split(".", 1), _compile(mapping, field)) for field in mapping.fields]

    def map_row(self, row: Row, line: int) -> dict[str, Any]:
        """The touchpoint of a row, not yet checked against the contract. Raises only `Rejected` and `Skipped`."""
        touchpoint: dict[str, Any] = {"identifiers": {}, "properties": {}}
        for path, value_of in self._values:
            value = value_of(row, line)
            if value is None:
                continue
            if len(path) == 1:
                touchpoint[path[0]] = value
            else:
                touchpoint[path[0]][path[1]] = value
        return touchpoint


def _compile(mapping: m.Mapping, field: str) -> Value:
    return compile_rule(mapping.fields[field], field, mapping.zone)


def compile_rule(rule: m.Rule, field: str, zone: str | None) -> Value:
    """What one field becomes, as a function of the row and its line; `zone` for times that state none.

    The function raises only `Rejected` and `Skipped`, and returns None where the row has nothing.
    """
    value_of = _with_default(_origin(rule, field), rule.default)
    if rule.values is not None:
        value_of = _replace(value_of, rule, field)
    wanted = rule.type_in(field)
    if wanted is None:
        return value_of if field.startswith("properties.") else _as_text(value_of)
    return _convert(value_of, _converter(wanted, rule, rule.zone or zone, field), wanted, field)


def _origin(rule: m.Rule, field: str) -> Value:
    if rule.constant is not None:
        return lambda row, line: rule.constant
    if rule.template is not None:
        return _template(rule.template)
    column = rule.column or ""
    if column == m.LINE:
        return lambda row, line: line
    return lambda row, line: m.lookup(row, column)


def _template(template: str) -> Value:
    parts = m.template_parts(template)

    def fill(row: Row, line: int) -> str | None:
        filled = ""
        for text, name in parts:
            value = "" if name is None else line if name == m.LINE else m.lookup(row, name)
            if value is None or (name is not None and value == ""):
                return None
            filled += f"{text}{value}"
        return filled

    return fill


def _with_default(value_of: Value, default: Any) -> Value:
    def found(row: Row, line: int) -> Any:
        value = value_of(row, line)
        return default if value is None or value == "" else value

    return found


def _replace(value_of: Value, rule: m.Rule, field: str) -> Value:
    values = rule.values or {}

    def replaced(row: Row, line: int) -> Any:
        value = value_of(row, line)
        if value is None:
            return None
        name = str(value).lower() if isinstance(value, bool) else str(value)
        if name not in values:
            return _unlisted(value, rule, field)
        if values[name] is None:
            raise Skipped
        return values[name]

    return replaced


def _unlisted(value: Any, rule: m.Rule, field: str) -> Any:
    if rule.otherwise is not None:
        return rule.otherwise
    if rule.unlisted == "keep":
        return value
    if rule.unlisted == "skip":
        raise Skipped
    raise Rejected("unlisted_value", f"{field}: {_short(value)} is not among the mapping's values")


def _as_text(value_of: Value) -> Value:
    # Ids are numbers in many a file, and text in every touchpoint; anything else is for the contract to refuse.
    def text(row: Row, line: int) -> Any:
        value = value_of(row, line)
        return str(value) if type(value) is int else value

    return text


def _convert(value_of: Value, convert: Callable[[Any], Any], wanted: str, field: str) -> Value:
    def converted(row: Row, line: int) -> Any:
        value = value_of(row, line)
        if value is None:
            return None
        try:
            return convert(value)
        except (ValueError, TypeError, OverflowError, KeyError) as error:
            raise Rejected("unreadable_value", f"{field}: {_short(value)} is no {wanted}") from error

    return converted


def _converter(wanted: m.ValueType, rule: m.Rule, zone: str | None, field: str) -> Callable[[Any], Any]:
    if wanted == "time":
        return _time_reader(rule.format or "iso", m.read_zone(zone) if zone else None, field)
    converters: dict[str, Callable[[Any], Any]] = {"text": str, "int": _whole, "float": float, "bool": _truth}
    return converters[wanted]


def _whole(value: Any) -> int:
    number = int(value)
    if isinstance(value, float) and number != value:
        raise ValueError("not whole")
    return number


def _truth(value: Any) -> bool:
    return value if isinstance(value, bool) else _BOOLS[str(value).strip().lower()]


def _time_reader(form: str, zone: tzinfo | None, field: str) -> Callable[[Any], str]:
    """Text or number to RFC 3339 in UTC, by whole milliseconds. An hour that a clock change repeats is its first."""
    unit_ms = m.EPOCH_UNITS_MS.get(form)
    if unit_ms is not None:
        return lambda value: format_epoch_ms(round(float(value) * unit_ms))

    def read(value: Any) -> str:
        text = str(value).strip()
        moment = datetime.fromisoformat(text) if form == "iso" else datetime.strptime(text, form)
        if moment.tzinfo is None:
            if zone is None:
                raise Rejected("naive_time", f"{field}: {_short(value)} has no zone: state `zone:` in the mapping")
            moment = moment.replace(tzinfo=zone)
        return moment.astimezone(UTC).isoformat(timespec="milliseconds").removesuffix("+00:00") + "Z"

    return read


def _short(value: Any) -> str:
    shown = ascii(value)
    return shown if len(shown) <= 80 else f"{shown[:77]}..."

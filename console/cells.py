"""Values of query results as text for people, for spreadsheets and for programs."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from datetime import UTC, date, datetime, tzinfo
from decimal import Decimal
from typing import Any
from uuid import UUID

FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r")
WRAPPERS = ("LowCardinality(", "Nullable(")
NUMBERS = re.compile(r"(U?Int|B?Float|Decimal)\d*\b")


def is_number_type(kind: str) -> bool:
    """Whether a ClickHouse type holds numbers: `Nullable(UInt64)` does, `Array(UInt64)` does not."""
    for wrapper in WRAPPERS:
        kind = kind.removeprefix(wrapper)
    return NUMBERS.match(kind) is not None


def is_truth_type(kind: str) -> bool:
    """Whether a ClickHouse type holds true and false: `Nullable(Bool)` does."""
    for wrapper in WRAPPERS:
        kind = kind.removeprefix(wrapper)
    return kind.startswith("Bool")


def show_cell(value: Any) -> str:
    """A value for a table: no control characters, no direction marks; nested values as compact JSON."""
    if value is None:
        return ""
    if isinstance(value, datetime):
        return _show_moment(value)
    if isinstance(value, float):
        return f"{value:.6g}" if abs(value) < 1e6 else f"{value:,.1f}"
    if isinstance(value, list | tuple | Mapping):
        return printable(json.dumps(json_value(value), ensure_ascii=False))
    return printable(_text(value))


def csv_cell(value: Any, kind: str, zone: tzinfo = UTC) -> str:
    """A value for CSV. Text that a spreadsheet would run as a formula is disarmed by a leading apostrophe."""
    if value is None:
        return ""
    plain = json_value(value, zone)
    if isinstance(plain, bool):
        return "true" if plain else "false"
    if is_number_type(kind):
        return str(value)
    text = plain if isinstance(plain, str) else json.dumps(plain, ensure_ascii=False)
    return f"'{text}" if text.startswith(FORMULA_STARTS) else text


def json_value(value: Any, zone: tzinfo = UTC) -> Any:
    """A value as JSON has it: times in ISO 8601 with zone (`zone` where they have none), decimals as text.

    What JSON cannot say (NaN, infinities) becomes null.
    """
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, datetime):
        return _iso(value if value.tzinfo else value.replace(tzinfo=zone))
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, Mapping):
        return {_text(key): json_value(item, zone) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [json_value(item, zone) for item in value]
    return _text(value)


def printable(text: str) -> str:
    """The text with everything that could move a cursor or turn the reading direction written out."""
    if text.isprintable():
        return text
    return "".join(character if character.isprintable() else _escape(character) for character in text)


def _escape(character: str) -> str:
    return character.encode("unicode_escape").decode("ascii")


def _text(value: Any) -> str:
    if isinstance(value, bytes):
        return value.decode("utf-8", "backslashreplace")
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value) if isinstance(value, str | int | Decimal | UUID | date) else f"{value}"


def _iso(moment: datetime) -> str:
    return moment.isoformat(timespec="milliseconds" if moment.microsecond else "seconds").replace("+00:00", "Z")


def _show_moment(moment: datetime) -> str:
    text = moment.replace(tzinfo=None).isoformat(" ", "milliseconds" if moment.microsecond else "seconds")
    offset = moment.utcoffset()
    return text if not offset else text + moment.strftime("%z")

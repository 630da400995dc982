"""Bytes to touchpoint and back: the authoritative way, one record at a time.

A faster decoder may accept any subset of what `parse_touchpoint` accepts, and must hand it all the rest.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Collection, Iterator, Mapping
from typing import Any

import msgspec
from pydantic import ValidationError
from pydantic_core import ErrorDetails

from schemas.catalogue import CUSTOMERS_MERGED
from schemas.dead_letter import Reason
from schemas.errors import Undecodable
from schemas.identifiers import KINDS, is_placeholder
from schemas.touchpoint import READ_VERSIONS, SCHEMA_VERSION, Touchpoint, touchpoint_adapter

MAX_NESTING = 64
"""Objects and arrays inside one another, the touchpoint itself being the first."""
BYTE_ORDER_MARK = b"\xef\xbb\xbf"
EARLIEST_MS = 0
"""No touchpoint happened before 1970, not even a replayed one: that is a clock or a unit gone wrong."""

_REQUIRED = frozenset(name for name, field in Touchpoint.model_fields.items() if field.is_required())


def parse_touchpoint(
    raw: bytes | None, max_bytes: int | None = None, versions: Collection[int] = READ_VERSIONS
) -> Touchpoint:
    """One Kafka record's value as a valid touchpoint. Raises `Undecodable`.

    A leading byte-order mark is dropped. JSON is strict: no NaN, no infinities, no number that a double or 64 bits
    cannot hold, no lone surrogate, at most `MAX_NESTING` levels; of a repeated field the last counts. Fields that the
    envelope does not have are ignored. Identifiers are treated as `check_touchpoint` says. Whether the time is
    acceptable now is `check_time`'s question, and personal identifiers are returned as they came:
    `schemas.identifiers.Pseudonymiser` hides them.
    """
    if not raw:
        raise Undecodable("empty_record", "the record has no value")
    if max_bytes is not None and len(raw) > max_bytes:
        raise Undecodable("too_large", f"{len(raw)} bytes, and at most {max_bytes} are accepted")
    return check_touchpoint(parse_object(raw), versions)


def parse_object(raw: bytes) -> dict[str, Any]:
    """Strict JSON of one object. Raises `Undecodable`: `invalid_utf8`, `invalid_json` or `not_an_object`."""
    try:
        text = raw.removeprefix(BYTE_ORDER_MARK).decode("utf-8")
    except UnicodeDecodeError as error:
        raise Undecodable("invalid_utf8", f"byte {error.start} is not UTF-8: {error.reason}") from error
    try:
        found = msgspec.json.decode(text)
    except (msgspec.DecodeError, RecursionError) as error:
        raise Undecodable(
            "invalid_json", "nested too deep" if isinstance(error, RecursionError) else str(error)
        ) from error
    if not isinstance(found, dict):
        raise Undecodable("not_an_object", f"one JSON object is expected, not {_json_name(found)}")
    if raw.count(b"{") + raw.count(b"[") > MAX_NESTING:
        deque(_levels(found), maxlen=0)
    return found


def check_touchpoint(found: Mapping[str, Any], versions: Collection[int] = READ_VERSIONS) -> Touchpoint:
    """The touchpoint that a decoded object states, with only identifiers that name somebody. Raises `Undecodable`.

    Of `identifiers`, unknown kinds and nulls are ignored, and placeholders (`schemas.identifiers.is_placeholder`) are
    dropped as long as another identifier remains. When none remains the reason is `placeholder_identifier`, and
    `no_identifier` when there was none of a known kind to begin with. `customers_merged` names two customers: by
    `customer_id` who stays, by `merged_id` another. Of a version that is not one of `versions` nothing else is judged:
    what it asks for is not known.
    """
    version = found.get("schema_version", SCHEMA_VERSION)
    if type(version) is int and version not in versions:
        read = ", ".join(map(str, sorted(versions)))
        raise Undecodable("unknown_version", f"schema_version: {version} is not read here, only {read}")
    given = found.get("identifiers")
    known = _known(given) if isinstance(given, Mapping) else given
    try:
        touchpoint = touchpoint_adapter().validate_python({**found, "identifiers": _named(known)})
    except ValidationError as error:
        raise undecodable(error) from None
    if not touchpoint.identifiers:
        raise _nobody(known or {})
    if touchpoint.type == CUSTOMERS_MERGED:
        _check_merge(touchpoint)
    return touchpoint


def encode_touchpoint(touchpoint: Touchpoint | Mapping[str, Any]) -> bytes:
    """The wire form of a touchpoint: UTF-8 JSON without nulls in the envelope; times may be aware datetimes.

    It does not judge the envelope (`check_touchpoint` does). Raises `Undecodable` (`invalid_json`) for what JSON cannot
    say: NaN, infinities, lone surrogates, integers over 64 bits, objects of other types, too deep nesting.
    """
    found = touchpoint.model_dump(exclude_unset=True) if isinstance(touchpoint, Touchpoint) else dict(touchpoint)
    for values in _levels(found):
        _check_numbers(values)
    try:
        return msgspec.json.encode({name: value for name, value in found.items() if value is not None})
    except (TypeError, ValueError, OverflowError) as error:
        raise Undecodable("invalid_json", f"cannot be written as JSON: {error}") from error


def check_time(occurred_at_ms: int, now_ms: int, oldest_ms: int | None, ahead_ms: int) -> Reason | None:
    """Why a time is refused, or None when it is acceptable.

    `oldest_ms` is how long ago it may be (None: since 1970, for replayed records), `ahead_ms` how far in the future.
    """
    if occurred_at_ms > now_ms + ahead_ms:
        return "too_far_ahead"
    earliest_ms = EARLIEST_MS if oldest_ms is None else max(EARLIEST_MS, now_ms - oldest_ms)
    return "too_old" if occurred_at_ms < earliest_ms else None


def _known(identifiers: Mapping[str, Any]) -> dict[str, Any]:
    return {kind: identifiers[kind] for kind in KINDS if identifiers.get(kind) is not None}


def _named(known: Any) -> Any:
    if not isinstance(known, dict):
        return {} if known is None else known
    return {kind: value for kind, value in known.items() if not (isinstance(value, str) and is_placeholder(value))}


def _nobody(known: Mapping[str, Any]) -> Undecodable:
    if not known:
        return Undecodable("no_identifier", f"identifiers: one of {', '.join(KINDS)} is needed")
    kind, value = next(iter(known.items()))
    return Undecodable("placeholder_identifier", f"identifiers.{kind}: {value!r} names nobody in particular")


def _check_merge(touchpoint: Touchpoint) -> None:
    stays = touchpoint.identifiers.get("customer_id")
    if stays is None:
        detail = "identifiers.customer_id: needed, as it says which customer stays and takes over what merged_id had"
        raise Undecodable("missing_field", detail)
    if stays == getattr(touchpoint.properties, "merged_id", None):
        detail = (
            "properties.merged_id: is the same as customer_id: give that of the other customer, or send no such record"
        )
        raise Undecodable("invalid_property", detail)


def undecodable(error: ValidationError) -> Undecodable:
    """The first fault that a discriminated union found, as a reason and a detail of one line."""
    first = error.errors(include_url=False)[0]
    # The first part only says which member of the union judged it.
    path = tuple(map(str, first["loc"][1:]))
    message = first["msg"].removeprefix("Value error, ")
    return Undecodable(_reason(path, first), f"{'.'.join(path)}: {message[:1].lower()}{message[1:]}")


def _reason(path: tuple[str, ...], error: ErrorDetails) -> Reason:
    match path:
        case ("properties", _, *_):
            return "invalid_property"
        case ("identifiers", _, *_):
            return "invalid_identifier"
        case (name,) if name in _REQUIRED and (error["type"] == "missing" or error["input"] is None):
            return "missing_field"
        case ("source",) if isinstance(error["input"], str):
            return "unknown_source"
        case ("schema_version",) if type(error["input"]) is int:
            return "unknown_version"
    return "naive_time" if error["type"] == "naive_time" and len(path) == 1 else "invalid_field"


def _levels(found: Any) -> Iterator[list[Any]]:
    """The values of each level of nesting, outermost first, without recursion. Raises `Undecodable` when too deep."""
    level: list[Any] = [found]
    for _ in range(MAX_NESTING):
        values = [value for outer in level for value in (outer.values() if isinstance(outer, dict) else outer)]
        yield values
        level = [value for value in values if type(value) is not str and isinstance(value, (dict, list, tuple))]
        if not level:
            return
    raise Undecodable("invalid_json", f"nested deeper than {MAX_NESTING} levels")


def _check_numbers(values: list[Any]) -> None:
    # Written, NaN would turn into null, and a longer integer would be refused by whoever reads it.
    for value in values:
        if type(value) is str:
            continue
        if isinstance(value, float) and not math.isfinite(value):
            raise Undecodable("invalid_json", f"{value} is no JSON number")
        if isinstance(value, int) and not -(2**63) <= value < 2**64:
            raise Undecodable("invalid_json", "an integer has more than 64 bits")


def _json_name(value: Any) -> str:
    names = {list: "an array", str: "a text", bool: "true or false", type(None): "null"}
    return names.get(type(value), "a number")

"""Fast decoders of typed properties, one per catalogued type, made from the contract's pydantic models."""

from __future__ import annotations

import re
import types
import typing
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import Annotated, Any

import msgspec

from schemas.catalogue import BY_NAME, TouchpointType
from schemas.moments import check_moment, to_epoch_ms
from schemas.properties import Properties
from schemas.wire import MAX_NESTING

_TYPE_NAME = re.compile(r"[a-z][a-z0-9_.]{0,63}", re.ASCII)
_decode_flat = msgspec.json.Decoder(dict[str, str | int | float | bool | None]).decode
_decode_nested = msgspec.json.Decoder(dict[str, Any]).decode


def _decode_whole(raw: msgspec.Raw) -> dict[str, Any]:
    try:
        return _decode_flat(raw)
    except msgspec.ValidationError:
        text = bytes(raw)
        if text.count(b"{") + text.count(b"[") >= MAX_NESTING:
            raise
        return _decode_nested(raw)


def _texts_of(whole: dict[str, Any], names: tuple[str, ...]) -> dict[str, Any]:
    # No model names these: what is no text is no value.
    return {name: whole[name] for name in names if isinstance(whole.get(name), str)}


@dataclass(frozen=True, slots=True)
class PropertyDecoder:
    """How the properties of one type are checked. `name` is empty for types that are not catalogued.

    `keeps`: what a signal keeps as details, None for other types; `untyped`: what no model names, and it keeps as well.
    `moments` names the properties that hold times; details hold them as epoch milliseconds.
    """

    name: str = ""
    typed: Callable[[msgspec.Raw], Any] | None = None
    moments: tuple[str, ...] = ()
    keeps: tuple[str, ...] | None = None
    untyped: tuple[str, ...] = ()

    def decode(self, raw: msgspec.Raw) -> dict[str, Any] | None:
        """The details of a signal, None for other types. Raises msgspec.DecodeError or ValueError when in doubt."""
        whole = _decode_whole(raw)
        if self.typed is None:
            return None if self.keeps is None else _texts_of(whole, self.untyped)
        properties = self.typed(raw)
        for name in self.moments:
            text = getattr(properties, name)
            if text is not None:
                setattr(properties, name, to_epoch_ms(check_moment(text)))
        if self.keeps is None:
            return None
        details = {name: value for name in self.keeps if (value := getattr(properties, name)) is not None}
        if self.untyped:
            details.update(_texts_of(whole, self.untyped))
        return details


def _plain_type(annotation: Any) -> Any:
    """The msgspec type that accepts a subset of what the pydantic field accepts."""
    origin = typing.get_origin(annotation)
    if origin in (typing.Union, types.UnionType):
        members = [_plain_type(member) for member in typing.get_args(annotation) if member is not type(None)]
        return members[0] | None
    if origin is Annotated:
        inner, *metadata = typing.get_args(annotation)
        return _constrain(_plain_type(inner), metadata)
    if annotation is datetime:
        return str
    return annotation


def _constrain(plain: Any, metadata: list[Any]) -> Any:
    limits: dict[str, Any] = {}
    for item in metadata:
        for part in (item, *getattr(item, "metadata", ())):
            for name in ("ge", "le", "min_length", "max_length", "pattern"):
                value = getattr(part, name, None)
                if value is not None:
                    limits[name] = value
    if "pattern" in limits:
        # In Python's expressions `$` also matches before a last line feed; in the contract's it does not.
        limits["pattern"] = re.sub(r"\$$", r"\\Z", limits["pattern"])
    return Annotated[plain, msgspec.Meta(**limits)] if limits else plain


def _struct_of(model: type[Properties]) -> type[msgspec.Struct]:
    hints = typing.get_type_hints(model, include_extras=True)
    required = [(name, _plain_type(hints[name])) for name, field in model.model_fields.items() if field.is_required()]
    optional = [
        (name, _plain_type(hints[name]), None) for name, field in model.model_fields.items() if not field.is_required()
    ]
    return msgspec.defstruct(f"Fast{model.__name__}", [*required, *optional])


@cache
def _moments_of(model: type[Properties]) -> tuple[str, ...]:
    hints = typing.get_type_hints(model)
    return tuple(name for name in model.model_fields if hints[name] in (datetime, datetime | None))


_UNLISTED = PropertyDecoder()


class PropertyDecoders:
    """The decoders of all types. `keeps`: the types that are signals, with the properties that are kept of each."""

    def __init__(self, keeps: Mapping[str, tuple[str, ...]]) -> None:
        self._by_name = {entry.name: _decoder_of(entry, keeps.get(entry.name)) for entry in BY_NAME.values()}

    def get(self, name: str) -> PropertyDecoder | None:
        """The decoder of a type; None when the name is no valid type name."""
        return self._by_name.get(name) or (_UNLISTED if _TYPE_NAME.fullmatch(name) else None)


@cache
def _typed_decoder(model: type[Properties]) -> Callable[[msgspec.Raw], Any] | None:
    return msgspec.json.Decoder(_struct_of(model)).decode if model.model_fields else None


def _decoder_of(entry: TouchpointType, keeps: tuple[str, ...] | None) -> PropertyDecoder:
    model = entry.properties
    if keeps is None:
        return PropertyDecoder(entry.name, _typed_decoder(model), _moments_of(model))
    typed = tuple(name for name in keeps if name in model.model_fields)
    untyped = tuple(name for name in keeps if name not in model.model_fields)
    return PropertyDecoder(entry.name, _typed_decoder(model), _moments_of(model), typed, untyped)

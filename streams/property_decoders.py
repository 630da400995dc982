"""Fast decoders of typed properties, one per catalogued type, made from the contract's pydantic models."""

from __future__ import annotations

import re
import types
import typing
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import Annotated, Any

import msgspec

from schemas.catalogue import BY_NAME
from schemas.moments import check_moment, to_epoch_ms
from schemas.properties import Properties
from schemas.wire import MAX_NESTING
from streams.touch import DETAILS

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


@dataclass(frozen=True, slots=True)
class PropertyDecoder:
    """How the properties of one type are checked. `name` is empty for types that are not catalogued.

    `keeps`: what a signal keeps as details, None for other types.
    `moments` names the properties that hold times; details hold them as epoch milliseconds.
    """

    name: str = ""
    typed: Callable[[msgspec.Raw], Any] | None = None
    moments: tuple[str, ...] = ()
    keeps: tuple[str, ...] | None = None

    def decode(self, raw: msgspec.Raw) -> dict[str, Any] | None:
        """The details of a signal, None for other types. Raises msgspec.DecodeError or ValueError when in doubt."""
        whole = _decode_whole(raw)
        if self.typed is None:
            # No model names these: what is no text is no value.
            return None if self.keeps is None else {n: whole[n] for n in self.keeps if isinstance(whole.get(n), str)}
        properties = self.typed(raw)
        for name in self.moments:
            text = getattr(properties, name)
            if text is not None:
                setattr(properties, name, to_epoch_ms(check_moment(text)))
        if self.keeps is None:
            return None
        return {name: value for name in self.keeps if (value := getattr(properties, name)) is not None}


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


def _moments_of(model: type[Properties]) -> tuple[str, ...]:
    hints = typing.get_type_hints(model)
    return tuple(name for name in model.model_fields if hints[name] in (datetime, datetime | None))


@cache
def _catalogued() -> dict[str, PropertyDecoder]:
    decoders: dict[str, PropertyDecoder] = {}
    for entry in BY_NAME.values():
        model, keeps = entry.properties, DETAILS.get(entry.name)
        if model.model_fields:
            typed = msgspec.json.Decoder(_struct_of(model)).decode
            decoders[entry.name] = PropertyDecoder(entry.name, typed, _moments_of(model), keeps)
        else:
            decoders[entry.name] = PropertyDecoder(entry.name, keeps=keeps)
    return decoders


_UNLISTED = PropertyDecoder()


def property_decoder(name: str) -> PropertyDecoder | None:
    """The decoder of a type; None when the name is no valid type name."""
    decoder = _catalogued().get(name)
    if decoder is not None:
        return decoder
    return _UNLISTED if _TYPE_NAME.fullmatch(name) else None

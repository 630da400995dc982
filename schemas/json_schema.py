"""The touchpoint contract as JSON Schema (2020-12), for those who do not speak Python."""

from __future__ import annotations

import json
from typing import Any

from schemas.catalogue import CATALOGUE, TouchpointType
from schemas.examples import example_touchpoint
from schemas.identifiers import KINDS
from schemas.properties import Properties
from schemas.touchpoint import Touchpoint

SCHEMA_FILE = "touchpoint.schema.json"


def touchpoint_schema() -> dict[str, Any]:
    """The schema of one touchpoint of any type, listed in the catalogue or not."""
    envelope = Touchpoint.model_json_schema()
    _state_identifiers(envelope["properties"]["identifiers"])
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **envelope,
        "$defs": {model.__name__: model.model_json_schema() for model in _property_models()},
        "allOf": [_rule_of(entry) for entry in CATALOGUE if entry.properties is not Properties],
        "examples": [example_touchpoint(entry) for entry in CATALOGUE],
    }


def write_schema() -> str:
    """The text of the exported file."""
    return json.dumps(touchpoint_schema(), indent=1, ensure_ascii=False, sort_keys=True) + "\n"


def _property_models() -> list[type[Properties]]:
    return list(dict.fromkeys([Properties, *(entry.properties for entry in CATALOGUE)]))


def _rule_of(entry: TouchpointType) -> dict[str, Any]:
    required = any(field.is_required() for field in entry.properties.model_fields.values())
    then: dict[str, Any] = {"properties": {"properties": {"$ref": f"#/$defs/{entry.properties.__name__}"}}}
    return {
        "if": {"properties": {"type": {"const": entry.name}}},
        "then": {**then, "required": ["properties"]} if required else then,
    }


def _state_identifiers(identifiers: dict[str, Any]) -> None:
    # Unknown kinds are ignored whatever they hold, and a null is the same as no identifier.
    value = {**identifiers.pop("additionalProperties"), "type": ["string", "null"]}
    identifiers["properties"] = dict.fromkeys(KINDS, value)
    identifiers["anyOf"] = [{"required": [kind], "properties": {kind: {"type": "string"}}} for kind in KINDS]

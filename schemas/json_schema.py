"""The contracts of touchpoint and fact as JSON Schema (2020-12), for those who do not speak Python."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from schemas.catalogue import CATALOGUE, FACT_TYPES, FactType, TouchpointType
from schemas.examples import example_fact, example_touchpoint
from schemas.fact import Fact
from schemas.identifiers import KINDS
from schemas.properties import Properties
from schemas.touchpoint import Touchpoint

SCHEMA_FILE = "touchpoint.schema.json"
FACT_SCHEMA_FILE = "fact.schema.json"
_DRAFT = "https://json-schema.org/draft/2020-12/schema"


def touchpoint_schema() -> dict[str, Any]:
    """The schema of one touchpoint of any type, listed in the catalogue or not."""
    envelope = Touchpoint.model_json_schema()
    _state_identifiers(envelope["properties"]["identifiers"])
    return {
        "$schema": _DRAFT,
        **envelope,
        "$defs": _property_models(CATALOGUE),
        "allOf": [_rule_of(entry) for entry in CATALOGUE if entry.properties is not Properties],
        "examples": [example_touchpoint(entry) for entry in CATALOGUE],
    }


def fact_schema() -> dict[str, Any]:
    """The schema of one fact."""
    envelope = Fact.model_json_schema()
    envelope["properties"]["type"] = {"enum": [entry.name for entry in FACT_TYPES]}
    # It concerns nobody, and what names somebody is refused.
    envelope["properties"]["identifiers"] = {"anyOf": [{"type": "null"}, {"type": "object", "maxProperties": 0}]}
    return {
        "$schema": _DRAFT,
        **envelope,
        "$defs": _property_models(FACT_TYPES),
        "allOf": [_rule_of(entry) for entry in FACT_TYPES],
        "examples": [example_fact(entry) for entry in FACT_TYPES],
    }


def write_schema(schema: dict[str, Any]) -> str:
    """The text of an exported file."""
    return json.dumps(schema, indent=1, ensure_ascii=False, sort_keys=True) + "\n"


def _property_models(entries: Iterable[TouchpointType | FactType]) -> dict[str, Any]:
    models: dict[type[Properties], None] = dict.fromkeys([Properties, *(entry.properties for entry in entries)])
    return {model.__name__: model.model_json_schema() for model in models}


def _rule_of(entry: TouchpointType | FactType) -> dict[str, Any]:
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

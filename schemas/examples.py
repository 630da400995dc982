"""One valid touchpoint of each catalogued type, as documentation shows it and tests vary it."""

from __future__ import annotations

from typing import Any, get_args

from schemas.catalogue import FactType, TouchpointType
from schemas.properties import Properties

_VALUES: dict[str, Any] = {
    "merged_id": "C-1002",
    "amount": 129.9,
    "cart_value": 129.9,
    "contact_id": "K-12",
    "counted_from": "2026-11-21T08:00:00Z",
    "counts": [118, 131],
    "currency": "ILS",
    "due_at": "2026-11-23T18:00:00Z",
    "eta": "2026-11-23T18:00:00Z",
    "expires_at": "2026-11-23T18:00:00Z",
    "from_store": "S-2",
    "handle_seconds": 312.0,
    "in_stock": True,
    "kind": "handwritten note",
    "last_said": "2026-11-21T09:59:00Z",
    "parcel_id": "P-1",
    "parcels": 2,
    "partition": 0,
    "promised_by": "2026-11-24T18:00:00Z",
    "quantity": 1,
    "query": "blue kettle",
    "queue": "tills",
    "rating": 5,
    "reason": "damaged",
    "receipt_id": "R-88",
    "resolved": True,
    "restock_eta": "2026-11-30T08:00:00Z",
    "results": 12,
    "score": 9,
    "sku": "K-100",
    "store_id": "S-1",
    "to_queue": "billing",
    "topic": "late parcel",
    "url": "https://shop.example/kettles",
}


def example_properties(model: type[Properties]) -> dict[str, Any]:
    """A valid value of every property that the model names, optional ones too."""
    return {name: _example_value(name, field.annotation) for name, field in model.model_fields.items()}


def example_touchpoint(entry: TouchpointType) -> dict[str, Any]:
    """A valid touchpoint of this type."""
    return {
        "event_id": f"{entry.name}-1",
        "source": entry.source,
        "type": entry.name,
        "occurred_at": "2026-11-21T10:00:00.123Z",
        "identifiers": {"customer_id": "C-1"},
        "properties": example_properties(entry.properties),
    }


def example_fact(entry: FactType) -> dict[str, Any]:
    """A valid fact of this type."""
    return {
        "event_id": f"{entry.name}-1",
        "source": "store",
        "type": entry.name,
        "occurred_at": "2026-11-21T10:00:00.123Z",
        "properties": example_properties(entry.properties),
    }


def _example_value(name: str, annotation: Any) -> Any:
    choices = [choice for choice in get_args(annotation) if isinstance(choice, str)]
    return choices[0] if choices else _VALUES[name]

"""The fact: something that is so and concerns no single customer, such as that a product is back in a store.

Stated on topic `facts` in the envelope of a touchpoint without identifiers. This contract is the authority on what is
valid; types that the catalogue does not have are refused.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Discriminator, Field, Tag, TypeAdapter, ValidationError, create_model

from schemas.catalogue import FACT_TYPES, Source
from schemas.errors import Undecodable
from schemas.moments import Moment, format_epoch_ms, to_epoch_ms
from schemas.properties import Id, Properties, Restocked, SourceHeartbeat, StockLevel
from schemas.touchpoint import SCHEMA_VERSION, TypeName
from schemas.wire import encode_touchpoint, parse_object, undecodable

FACT_NAMES = frozenset(entry.name for entry in FACT_TYPES)


class Fact(BaseModel):
    """One fact of any type; identified by (`source`, `event_id`). Unknown fields are ignored.

    `occurred_at`, `sent_at` and `received_at` carry a zone.
    """

    model_config = ConfigDict(strict=True, frozen=True, extra="ignore")

    event_id: Id
    source: Source
    type: TypeName
    occurred_at: Moment
    order_id: Id | None = None
    case_id: Id | None = None
    store_id: Id | None = None
    agent_id: Id | None = None
    channel: Id | None = None
    properties: Properties = Field(default_factory=Properties)
    sent_at: Moment | None = None
    received_at: Moment | None = None
    schema_version: Annotated[int, Field(ge=SCHEMA_VERSION, le=SCHEMA_VERSION)] = SCHEMA_VERSION

    @property
    def reference(self) -> str:
        """`source/event_id`, as evidence lists name it."""
        return f"{self.source}/{self.event_id}"

    @property
    def occurred_ms(self) -> int:
        """When it became so, epoch milliseconds."""
        return to_epoch_ms(self.occurred_at)

    @property
    def store(self) -> str | None:
        """The store that it is about: the property `store_id`, else the envelope's; None where it names none."""
        named: str | None = getattr(self.properties, "store_id", None)
        return named if named is not None else self.store_id


def parse_fact(raw: bytes | None, max_bytes: int | None = None) -> Fact:
    """One Kafka record's value as a valid fact. Raises `Undecodable`, for what `schemas.wire` says of touchpoints."""
    if not raw:
        raise Undecodable("empty_record", "the record has no value")
    if max_bytes is not None and len(raw) > max_bytes:
        raise Undecodable("too_large", f"{len(raw)} bytes, and at most {max_bytes} are accepted")
    return check_fact(parse_object(raw))


def is_fact(found: Mapping[str, Any]) -> bool:
    """Whether a decoded object means to be a fact: of a type of fact, and about nobody."""
    name = found.get("type")
    return isinstance(name, str) and name in FACT_NAMES and not found.get("identifiers")


def check_fact(found: Mapping[str, Any]) -> Fact:
    """The fact that a decoded object states. Raises `Undecodable`."""
    if found.get("identifiers"):
        raise Undecodable("invalid_field", "identifiers: a fact concerns no single customer; leave them out")
    try:
        fact = fact_adapter().validate_python(found)
    except ValidationError as error:
        raise undecodable(error) from None
    if fact.type not in FACT_NAMES:
        raise Undecodable("invalid_field", f"type: {fact.type} is no type of fact: {', '.join(sorted(FACT_NAMES))} are")
    return fact


def encode_fact(fact: Fact | Mapping[str, Any]) -> bytes:
    """The wire form of a fact. Raises `Undecodable` as `schemas.wire.encode_touchpoint` does."""
    return encode_touchpoint(fact.model_dump(exclude_unset=True) if isinstance(fact, Fact) else fact)


def fact_key(fact: Fact) -> bytes:
    """What a fact is about, as the key of its record: `restocked:K-100@S-1`, `source_heartbeat:web`.

    Facts of equal key replace each other where the topic is compacted; what a worker has counted of a source has a key
    for each partition and first hour.
    """
    about, properties = fact.type, fact.properties
    match properties:
        case Restocked() | StockLevel():
            about += f":{_plain(properties.sku)}"
            about += f"@{_plain(fact.store)}" if fact.store is not None else ""
        case SourceHeartbeat():
            about += f":{fact.source}"
            if properties.counted_from is not None:
                counted_from = format_epoch_ms(to_epoch_ms(properties.counted_from))
                about += f"#{properties.partition or 0}@{counted_from}"
    return about.encode()


@cache
def fact_adapter() -> TypeAdapter[Fact]:
    """The discriminated union of all types of fact, plus any other, which only shows what else is wrong with it."""
    members: list[Any] = [Annotated[Fact, Tag("unlisted")]]
    for entry in FACT_TYPES:
        required = any(field.is_required() for field in entry.properties.model_fields.values())
        default = Field() if required else Field(default_factory=entry.properties)
        fields: dict[str, Any] = {"type": (Literal[entry.name], ...), "properties": (entry.properties, default)}
        name = "".join(part.capitalize() for part in entry.name.split("_")) + "Fact"
        members.append(Annotated[create_model(name, __base__=Fact, __doc__=entry.meaning, **fields), Tag(entry.name)])
    union: Any = members[0]
    for member in members[1:]:
        union = union | member
    return TypeAdapter(Annotated[union, Discriminator(_type_tag)])


def _type_tag(value: Any) -> str:
    name = value.get("type") if isinstance(value, dict) else getattr(value, "type", None)
    return name if isinstance(name, str) and name in FACT_NAMES else "unlisted"


def _plain(name: str) -> str:
    # A product that is called A@B must not be taken for A in store B.
    return name.replace("%", "%25").replace("@", "%40")

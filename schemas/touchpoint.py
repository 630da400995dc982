"""The touchpoint: one recorded contact between a customer and the company, immutable.

This pydantic contract is the authority on what is valid; the worker's fast decoder accepts a subset of it.
"""

from __future__ import annotations

from functools import cache
from typing import Annotated, Any, Final, Literal

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Discriminator,
    Field,
    StringConstraints,
    Tag,
    TypeAdapter,
    create_model,
)

from schemas.catalogue import BY_NAME, CATALOGUE, Source
from schemas.moments import Moment
from schemas.properties import Id, Properties

SCHEMA_VERSION: Final = 1
READ_VERSIONS: Final = frozenset({SCHEMA_VERSION})
"""What this release reads. `schemas.wire` judges it, as a release that reads more goes before its producers."""


def _check_version(value: Any) -> Any:
    # Python says True == 1 == 1.0, and so does Literal[1].
    if type(value) is not int:
        raise ValueError("must be a whole number")
    return value


TypeName = Annotated[str, StringConstraints(strict=True, pattern=r"^[a-z][a-z0-9_.]{0,63}$")]


class Touchpoint(BaseModel):
    """One touchpoint of any type; identified by (`source`, `event_id`). Unknown fields are ignored.

    `occurred_at`, `sent_at` and `received_at` carry a zone. `identifiers` maps a kind (`schemas.identifiers.KINDS`)
    to a value; at least one of a known kind must be there.
    """

    model_config = ConfigDict(strict=True, frozen=True, extra="ignore")

    event_id: Id
    source: Source
    type: TypeName
    occurred_at: Moment
    identifiers: dict[str, Id]
    order_id: Id | None = None
    case_id: Id | None = None
    store_id: Id | None = None
    agent_id: Id | None = None
    channel: Id | None = None
    properties: Properties = Field(default_factory=Properties)
    sent_at: Moment | None = None
    received_at: Moment | None = None
    schema_version: Annotated[
        int, BeforeValidator(_check_version), Field(json_schema_extra={"const": SCHEMA_VERSION})
    ] = SCHEMA_VERSION


def type_tag(value: Any) -> str:
    """The catalogue entry that judges a touchpoint: its type, or `unlisted` when the catalogue does not have it."""
    name = value.get("type") if isinstance(value, dict) else getattr(value, "type", None)
    return name if isinstance(name, str) and name in BY_NAME else "unlisted"


@cache
def touchpoint_adapter() -> TypeAdapter[Touchpoint]:
    """The discriminated union of all catalogued types, plus unlisted ones."""
    members: list[Any] = [Annotated[Touchpoint, Tag("unlisted")]]
    for entry in CATALOGUE:
        required = any(field.is_required() for field in entry.properties.model_fields.values())
        default = Field() if required else Field(default_factory=entry.properties)
        fields: dict[str, Any] = {"type": (Literal[entry.name], ...), "properties": (entry.properties, default)}
        name = "".join(part.capitalize() for part in entry.name.split("_")) + "Touchpoint"
        model = create_model(name, __base__=Touchpoint, __doc__=entry.meaning, **fields)
        members.append(Annotated[model, Tag(entry.name)])
    union: Any = members[0]
    for member in members[1:]:
        union = union | member
    return TypeAdapter(Annotated[union, Discriminator(type_tag)])

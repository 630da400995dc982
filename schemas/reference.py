"""The reference page `docs/touchpoints.md`, made from the contract itself."""

from __future__ import annotations

import types
from collections.abc import Iterable
from datetime import datetime
from typing import Any, Literal, Union, get_args, get_origin

from pydantic.fields import FieldInfo

from schemas.catalogue import CATALOGUE, FACT_TYPES, SOURCES
from schemas.dead_letter import WHAT_TO_DO
from schemas.examples import example_fact, example_touchpoint
from schemas.fact import encode_fact
from schemas.identifiers import KINDS
from schemas.properties import Properties
from schemas.topics import TOPICS
from schemas.touchpoint import Touchpoint
from schemas.wire import encode_touchpoint

ENVELOPE: dict[str, str] = {
    "event_id": "names the event within its source; the same id again is a duplicate and is dropped",
    "source": ", ".join(f"`{source}`" for source in SOURCES),
    "type": "what happened: a type below, or any other name of `a-z 0-9 _ .`, which is kept and stitched",
    "occurred_at": "when it happened, with a zone: `2026-11-21T10:00:00.123Z` or `+02:00`",
    "identifiers": "one or more of " + ", ".join(f"`{kind}`" for kind in KINDS) + ", strongest first",
    "order_id": "the order that it is about",
    "case_id": "the complaint or case that it is about",
    "store_id": "the store where it happened",
    "agent_id": "who served the customer",
    "channel": "the medium inside a source: `phone`, `chat`, `app`, `kiosk`…",
    "properties": "what the type needs, as below; more are kept as they come",
    "sent_at": "the sender's clock when it sent this; lets a wrong clock be corrected",
    "received_at": "set at the door by the platform's own clients and collector",
    "schema_version": "1",
}
_TYPE_NAMES = {
    str: "text",
    int: "whole number",
    float: "number",
    bool: "true or false",
    datetime: "time",
    dict: "object",
}


def touchpoints_page() -> str:
    """The whole page as Markdown."""
    sections = [_HEAD, _envelope(), *map(_source, SOURCES), _facts(), _topics(), _dead_letters()]
    return "\n\n".join(sections) + "\n"


def _table(*rows: Iterable[str]) -> str:
    head, *body = (f"| {' | '.join(row)} |" for row in rows)
    return "\n".join([head, "|" + "---|" * (head.count(" | ") + 1), *body])


def _envelope() -> str:
    rows = [
        (f"`{name}`", _type_name(field.annotation), "yes" if field.is_required() else "", ENVELOPE[name])
        for name, field in Touchpoint.model_fields.items()
    ]
    return "## Envelope\n\n" + _table(("field", "type", "required", "meaning"), *rows)


def _source(source: str) -> str:
    entries = [entry for entry in CATALOGUE if entry.source == source]
    rows = [(f"`{entry.name}`", entry.stage, _properties(entry.properties), entry.meaning) for entry in entries]
    example = encode_touchpoint(example_touchpoint(entries[0])).decode()
    table = _table(("type", "stage", "properties", "meaning"), *rows)
    return f"## Source `{source}`\n\n{table}\n\n```json\n{example}\n```"


def _facts() -> str:
    rows = [(f"`{fact.name}`", _properties(fact.properties), fact.meaning) for fact in FACT_TYPES]
    table = _table(("type", "properties", "meaning"), *rows)
    examples = "\n".join(encode_fact(example_fact(fact)).decode() for fact in FACT_TYPES)
    return f"## Facts\n\n{_FACTS}\n\n{table}\n\n```json\n{examples}\n```"


def _topics() -> str:
    rows = [
        (
            f"`{topic.name}`",
            topic.key,
            str(topic.partitions or "`JOURNEYS_PARTITIONS`"),
            topic.cleanup,
            _days(topic.retention_days),
            topic.holds,
        )
        for topic in TOPICS
    ]
    return "## Topics\n\n" + _table(("topic", "key", "partitions", "clean-up", "kept for", "holds"), *rows)


def _dead_letters() -> str:
    rows = [(f"`{reason}`", advice) for reason, advice in WHAT_TO_DO.items()]
    text = "Refused input is kept whole on topic `dead-letters` with one of these reasons and a detail of one line."
    return f"## Dead letters\n\n{text}\n\n" + _table(("reason", "what to do"), *rows)


def _days(days: int | None) -> str:
    return "ever" if days is None else f"{days} days"


def _properties(model: type[Properties]) -> str:
    return "<br>".join(_property(name, field) for name, field in model.model_fields.items())


def _property(name: str, field: FieldInfo) -> str:
    return f"`{name}` {_type_name(field.annotation)}" + ("" if field.is_required() else ", optional")


def _type_name(annotation: Any) -> str:
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Literal:
        return " or ".join(f"`{choice}`" for choice in arguments)
    if origin is list:
        return f"list of {_type_name(arguments[0])}s"
    if origin in (Union, types.UnionType) or (arguments and origin not in (dict, Literal)):
        return _type_name(arguments[0])
    bare = origin or annotation
    return _TYPE_NAMES.get(bare, "object")


_HEAD = """# Touchpoints

<!-- Made by `python -m schemas.export` from schemas/; a test keeps it true. Edit there, not here. -->

A touchpoint is one recorded contact between a customer and the company: one JSON object per Kafka record or NDJSON
line. Any type may come from any source; below, each stands with its usual one. Types are strict: `"1"` is no number.
The same contract as JSON Schema: `schemas/touchpoint.schema.json`. What JSON Schema cannot say: a time needs a zone, an
id is printable and without outer blanks or direction marks, `customers_merged` needs a `customer_id` other than its
`merged_id`, unknown fields and kinds of identifiers are ignored, a leading byte-order mark is dropped.

An identifier that names nobody is dropped, and a touchpoint with no other is refused: empty, `null`, `unknown`,
`(not set)`, `n/a`, `-1`; zeros with or without separators, such as `00:00:00:00:00:00` or `(000) 000-0000`; an e-mail
address such as `none@none.com`, of such a word on both sides; a phone number that is one digit repeated after its
prefix. The `merged_id` of `customers_merged` must not be one either."""

_FACTS = """A fact concerns no single customer: the same envelope without identifiers, on topic `facts`. The client,
`journeys emit` and `journeys replay` take facts and touchpoints alike, and send each where it belongs. As JSON Schema:
`schemas/fact.schema.json`; types that are not listed here are refused.

- A restock that names a store, in its properties or else in the envelope, answers wishes for that store and wishes that
  name none; one without a store answers all. A `stock_level` above 0 counts as a restock where the one before it was 0
  or less.
- A source sends `source_heartbeat` without properties when it has nothing else to say. Workers send it with properties,
  so that all of them know which sources are alive: `last_said` is the time of the source's latest touchpoint, and
  `counts` how many touchpoints of one `partition` there were in each hour from `counted_from` on."""

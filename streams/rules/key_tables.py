"""Every key of a rule file as Markdown, from the models: what to write, the default, an example, the meaning."""

from __future__ import annotations

import types
from collections.abc import Iterator
from datetime import timedelta
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from streams.promises import KINDS
from streams.rules.model import PLACEHOLDERS, PRIMITIVES, Escalation, Resolution, Rule, Scope, Texts
from streams.rules.patterns import Pattern, TypeName, Within
from streams.rules.primitives import Deadline, Measure, Mismatch, Repeat, Threshold, Wait, WaitCase
from streams.rules.sequence import Alone, First, Sequence
from streams.rules.wording import brief

EXAMPLES: dict[type[BaseModel], dict[str, str]] = {
    Rule: {
        "id": "slow_queue",
        "version": "1",
        "kind": "delight",
        "severity": "warning",
        "escalate": "[{to: critical, after: 10m}]",
        "enabled": "false",
        "title": "{en: Slow queue, he: תור איטי}",
        "meaning": "{en: They stand and wait., he: עומדים ומחכים.}",
        "why": "We tried it.",
        "reason": '{en: "waited {actual}", he: "המתנה של {actual}"}',
        "advice": "{en: Open another till., he: פתחו עוד קופה.}",
        "scope": "{stores: [S-1, S-2]}",
        "calendar": "store_hours",
        "cooldown": "30m",
        "resolve": "{after: 7d}",
        "needs": "[store]",
    },
    Escalation: {"to": "critical", "after": "10m", "count": "4"},
    Scope: {"sources": "[store]", "channels": "[phone]", "stores": "[S-1]", "segments": "[gold]"},
    Resolution: {"on": "[delivered, picked_up]", "after": "7d"},
    Pattern: {"types": "[survey_answered]", "channels": "[app, web]", "where": '"score <= 6"'},
    WaitCase: {
        "begins": "[queue_joined]",
        "ends": "[service_started]",
        "match": "[store_id, queue]",
        "longer_than": "10m",
        "shorter_than": "1m",
        "ended_where": "\"by == 'human'\"",
        "give_up_after": "2h",
    },
    Wait: {"cases": "[{begins: queue_joined, ends: [service_started], match: [queue], longer_than: 5m}]"},
    Measure: {"count": "3", "types": "[contact_started]", "distinct": "channel"},
    Repeat: {
        "types": "[contact_started]",
        "where": "\"topic == 'delivery'\"",
        "channels": "[phone]",
        "same": "[order_id, topic]",
        "within": "7d",
        "measures": "[{count: 2}]",
        "breaks": "[delivered]",
        "unit": "contacts",
    },
    Deadline: {
        "promise": "delivery",
        "when": "early",
        "by": "1d",
        "after": "[delivery_failed]",
        "unless": "{types: [notification_sent], where: \"topic == 'hold'\"}",
    },
    First: {
        "types": "[payment_failed]",
        "channels": "[app]",
        "where": '"cart_value > 100"',
        "count": "2",
        "within": "1h",
        "episodes": "friction",
    },
    Within: {"types": "[checkout_started]", "within": "1d"},
    Alone: {"same": "[topic]", "within": "2d"},
    Sequence: {
        "first": "[payment_failed]",
        "after": "{types: [checkout_started], within: 1d}",
        "then": "[visit_started]",
        "without": "[order_placed, purchased]",
        "within": "30m",
        "match": "[order_id]",
        "alone": "{same: [topic], within: 2d}",
    },
    Threshold: {
        "types": "[survey_answered]",
        "where": "\"metric == 'nps' and score >= 9\"",
        "channels": "[app]",
        "measure": "score",
        "limit": "9",
    },
    Mismatch: {
        "said": "{types: [stock_shown], where: in_stock}",
        "contradicted": "[item_unavailable]",
        "match": "[sku]",
        "match_given": "[store_id]",
        "within": "2d",
    },
}  # fmt: skip
"""What may stand behind each key; a test reads all of them."""

SMALLEST: dict[str, str] = {
    "wait": """wait:
  cases:
    - begins: [queue_joined]
      ends: [service_started]
      match: [store_id, queue]
      longer_than: 10m
""",
    "repeat": """repeat:
  types: [contact_started]
  same: [order_id, topic]
  within: 7d
  measures: [{count: 2}]
""",
    "deadline": """deadline:
  promise: delivery
""",
    "sequence": """sequence:
  first: [delivery_delayed]
  without: [notification_sent, delivered]
  within: 4h
  match: [order_id]
resolve: {after: 7d}
""",
    "threshold": """threshold:
  types: [survey_answered]
  where: "metric == 'nps' and score >= 9"
""",
    "mismatch": """mismatch:
  said: {types: [stock_shown], where: in_stock}
  contradicted: [item_unavailable]
  match: [sku]
  within: 2d
""",
}
"""A primitive as short as it can be. With an id, a version, a severity and the texts it is a rule."""

_FILLED: dict[str, str] = {
    "actual": "how long it took or takes, or how many were counted; durations in words, numbers as such",
    "threshold": "the limit: `longer_than`, `count` less one, `within`, or `limit`",
    "window": "the rule's `within`, or `by`",
    "place": "the subject: the values of `match`, or what a contact is about",
    "promised": "the promised time, for `deadline`",
    "still_en": "words in English that say that it is not over; empty when it is",
    "still_he": "the same in Hebrew",
}
_NAMED: dict[Any, str] = {
    timedelta: "time",
    bool: "`true` or `false`",
    int: "whole number",
    float: "number",
    str: "text",
    Pattern: "[touchpoints](#touchpoints)",
    TypeName: "types",
}
_PLURALS = {"text": "texts"}
_HEAD = "| key | what to write | default | example | meaning |\n|---|---|---|---|---|"


def describe_keys() -> str:
    """All keys of a rule file, of its touchpoints and of each primitive, and all placeholders."""
    parts = ["## Every key", "### The rule", _table(Rule, without=PRIMITIVES), "### Touchpoints", _TOUCHPOINTS]
    parts += [_table(Pattern), "### Placeholders of `reason`", _placeholders()]
    for name in PRIMITIVES:
        model = _bare(Rule.model_fields[name].annotation)
        parts += [f"### Keys of `{name}`", _table(model), f"```yaml\n{SMALLEST[name]}```"]
    return "\n\n".join(parts)


_TOUCHPOINTS = """A name, or a list of names, is short for `{types: […]}`. This holds wherever touchpoints may stand,
and for `first` of a `sequence`; where types stand, a single name is short for a list of it."""


def _table(model: type[BaseModel], without: tuple[str, ...] = ()) -> str:
    return "\n".join([_HEAD, *(f"| {' | '.join(map(_cell, row))} |" for row in _rows(model, "", without))])


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


def _rows(model: type[BaseModel], prefix: str, without: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    for name, field in model.model_fields.items():
        if name in without:
            continue
        meaning = " ".join((field.description or "").split())
        example = f"`{name}: {EXAMPLES[model][name]}`"
        yield f"`{prefix}{name}`", _say_values(name, field.annotation), _say_default(field), example, meaning
        inner = inner_model(field.annotation)
        if inner is not None:
            yield from _rows(inner, f"{prefix}{name}.")


def inner_model(annotation: Any) -> type[BaseModel] | None:
    """The model whose keys stand below a key, alone or in a list, as far as the same table shows them."""
    bare = _bare(annotation)
    if get_origin(bare) is tuple:
        bare = _bare(get_args(bare)[0])
    is_shown = isinstance(bare, type) and issubclass(bare, BaseModel) and not issubclass(bare, Texts | Pattern)
    return bare if is_shown else None


def _bare(annotation: Any) -> Any:
    """Without `None` beside it and what validates it."""
    if annotation in _NAMED:
        return annotation
    if get_origin(annotation) is Annotated:
        return _bare(get_args(annotation)[0])
    if get_origin(annotation) in (Union, types.UnionType):
        return _bare(next(each for each in get_args(annotation) if each is not type(None)))
    return annotation


def _say_values(name: str, annotation: Any) -> str:
    bare = _bare(annotation)
    if name == "promise":
        return _choices(tuple(kind.name for kind in KINDS))
    if bare in _NAMED:
        return _NAMED[bare]
    if get_origin(bare) is Literal:
        return _choices(get_args(bare))
    if get_origin(bare) is tuple:
        inner = _say_values("", get_args(bare)[0])
        return f"list of {_PLURALS.get(inner, inner)}"
    if issubclass(bare, First):
        return "[touchpoints](#touchpoints), or keys, see below"
    return "texts `en` and `he`" if issubclass(bare, Texts) else "keys, see below"


def _choices(known: tuple[str, ...]) -> str:
    return ", ".join(f"`{each}`" for each in known)


def _say_default(field: FieldInfo) -> str:
    if field.is_required():
        return "must be given"
    default = field.default
    if isinstance(default, timedelta):
        return f"`{brief(default)}`"
    if isinstance(default, bool):
        return f"`{str(default).lower()}`"
    return f"`{default}`" if isinstance(default, str | int | float) else ""


def _placeholders() -> str:
    rows = [f"| `{{{name}}}` | {_FILLED[name]} |" for name in PLACEHOLDERS]
    return "\n".join(["| placeholder | filled with |", "|---|---|", *rows])

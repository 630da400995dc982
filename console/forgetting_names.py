"""Who is to be forgotten: what a person typed as record keys, and how to know identifiers in any text. Pure."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import phonenumbers

from console.identity_names import read_name
from schemas.errors import Misconfigured
from schemas.identifiers import KINDS, PERSONAL_KINDS, Pseudonymiser, customer_name, is_pseudonym

BATCH_KEYS = 40
"""ClickHouse looks for at most 255 texts at a time; a key brings up to five."""
MIN_ALONE, MIN_DIGITS_ALONE = 8, 10
"""How long a value, and one of digits only, must be to be known by itself; a shorter one is known beside its kind."""
_BEFORE_KIND, _BETWEEN = r"(?:^|[^0-9A-Za-z_])", r"[^0-9A-Za-z]{1,12}"
_BEFORE, _AFTER = r"(?:^|[^0-9A-Za-z_.+\-])", r"(?:$|[^0-9A-Za-z_.\-]|\.(?:$|[^0-9A-Za-z]))"


@dataclass(frozen=True)
class Asked:
    """What was typed, the record keys that it stands for, and in which forms it may stand raw in refused input."""

    typed: str
    keys: tuple[str, ...]
    plain: tuple[str, ...] = ()


def read_identifier(text: str, pseudonymiser: Pseudonymiser | None) -> Asked:
    """The identifier that a person means: `kind:value`, or a bare customer_id. Raises `Misconfigured`."""
    if "@" in text and text.partition(":")[0] not in KINDS:
        raise Misconfigured(f"{text!r} looks like an e-mail address: write email:{text}")
    named = read_name(text.strip(), pseudonymiser)
    if named.is_start:
        raise Misconfigured(f"{text!r} is the beginning of a pseudonym: to erase a customer, give the whole of it")
    kind, _, value = text.strip().partition(":")
    if pseudonymiser is None or kind not in PERSONAL_KINDS or is_pseudonym(value):
        return Asked(text, named.keys)
    plain = pseudonymiser.normalise(kind, value)
    return Asked(text, named.keys, (*dict.fromkeys([value, plain, *(_phone_forms(plain) if kind == "phone" else ())]),))


def read_identifiers(texts: Sequence[str], pseudonymiser: Pseudonymiser | None) -> Asked:
    """Several identifiers of one customer, taken together. Raises `Misconfigured`."""
    found = [read_identifier(text, pseudonymiser) for text in texts]
    keys = dict.fromkeys(key for each in found for key in each.keys)
    plain = dict.fromkeys(form for each in found for form in each.plain)
    return Asked(", ".join(texts), tuple(keys), tuple(plain))


def _phone_forms(plain: str) -> Iterator[str]:
    """How else people write a number in E.164."""
    number = phonenumbers.parse(plain)
    for form in (phonenumbers.PhoneNumberFormat.NATIONAL, phonenumbers.PhoneNumberFormat.INTERNATIONAL):
        written = phonenumbers.format_number(number, form)
        yield written
        yield re.sub(r"[^\d+]", "", written)


@dataclass(frozen=True)
class Needles:
    """Identifiers that are looked for in texts that may hold them anyhow. `plain` are values without a kind."""

    keys: tuple[str, ...]
    plain: tuple[str, ...] = ()

    @cached_property
    def names(self) -> frozenset[str]:
        """What columns that hold nothing but an identifier show: record keys, and customers as tables name them."""
        return frozenset(self.keys) | {customer_name(key) for key in self.keys}

    @cached_property
    def texts(self) -> tuple[str, ...]:
        """One of these, in whatever case, is part of each text that `pattern` matches."""
        values = [key.partition(":")[2] for key in self.keys]
        return tuple(dict.fromkeys(form for value in (*values, *self.plain) for form in _forms(value)))

    @cached_property
    def pattern(self) -> str:
        """A regular expression, of those that Python and RE2 understand alike."""
        raw = [f"(?i:{_value_pattern(value)})" for value in self.plain]
        return "|".join(dict.fromkeys([*map(_key_pattern, self.keys), *raw]))

    @cached_property
    def _lowered(self) -> tuple[str, ...]:
        return tuple(each.lower() for each in self.texts)

    @cached_property
    def _compiled(self) -> re.Pattern[str]:
        return re.compile(self.pattern)

    def are_in(self, data: bytes | str | None) -> bool:
        """Whether one of the identifiers is in a text or in bytes."""
        if not data or not self.texts:
            return False
        text = data if isinstance(data, str) else data.decode("utf-8", "replace")
        lowered = text.lower()
        return any(each in lowered for each in self._lowered) and self._compiled.search(text) is not None

    def batches(self) -> Iterator[Needles]:
        """The same in parts that one query can look for; the values without a kind go with the first."""
        for start in range(0, len(self.keys), BATCH_KEYS):
            yield Needles(self.keys[start : start + BATCH_KEYS], self.plain if start == 0 else ())


def stands_alone(value: str) -> bool:
    """Whether a value is so long that it means this identifier wherever it stands."""
    digits = re.sub(r"[\s+().-]", "", value).isdigit()
    return len(value) >= (MIN_DIGITS_ALONE if digits else MIN_ALONE)


def _forms(value: str) -> Iterable[str]:
    """A value as it is, and as JSON may write it."""
    return dict.fromkeys((value, json.dumps(value)[1:-1], json.dumps(value, ensure_ascii=False)[1:-1]))


def _key_pattern(key: str) -> str:
    kind, _, value = key.partition(":")
    if is_pseudonym(value):
        return re.escape(value)
    either = "|".join(re.escape(form) for form in _forms(value))
    beside = f"{_BEFORE_KIND}{kind}{_BETWEEN}(?:{either}){_AFTER}"
    return f"{beside}|{_value_pattern(value)}" if stands_alone(value) else beside


def _value_pattern(value: str) -> str:
    return f"{_BEFORE}(?:{'|'.join(re.escape(form) for form in _forms(value))}){_AFTER}"

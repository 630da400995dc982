"""Whom `journeys rebuild --customer` means: the customer to whom an identifier belongs, as people write it."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from console.alert_store import Ask
from console.identity_names import meant_instead, read_name, show_key
from console.identity_store import find_key, find_namesakes, find_root
from schemas.errors import Misconfigured
from schemas.identifiers import PERSONAL_KINDS, Pseudonymiser, customer_key, customer_name


@dataclass(frozen=True)
class Asked:
    """`text` as it was typed, the record key that it was looked up as, and that of the customer whose it is."""

    text: str
    key: str
    root: str

    @property
    def customer(self) -> str:
        """The customer as tables show it."""
        return customer_name(self.root)

    @property
    def is_hidden(self) -> bool:
        """Whether it was typed raw, and looked up by its hash."""
        return self.key.partition(":")[0] in PERSONAL_KINDS and self.key != self.text


def find_customer(ask: Ask, text: str, pseudonymiser: Pseudonymiser | None) -> Asked:
    """What is meant by `C-1`, `email:dana@example.org` and the like, known or not. Raises `Misconfigured`."""
    named = read_name(text, pseudonymiser)
    if named.is_start:
        raise Misconfigured(f"{text!r} is shortened: give the identifier in full")
    key = find_key(ask, named)
    return Asked(text, key, find_root(ask, key))


def check_known(ask: Ask, asked: Collection[Asked], keys: Collection[str]) -> None:
    """Raise `Misconfigured` for the first who is not among the record keys of customers with touchpoints."""
    unknown = next((each for each in asked if customer_key(each.customer) not in keys), None)
    if unknown is not None:
        raise _nobody(unknown, find_namesakes(ask, unknown.key.partition(":")[2]))


def _nobody(asked: Asked, namesakes: list[str]) -> Misconfigured:
    if asked.root != asked.key:
        return Misconfigured(f"{asked.text} belongs to {show_key(asked.root)}, of whom no touchpoint is stored")
    if asked.is_hidden:
        return Misconfigured(
            f"nobody is known under {asked.text}: it was hashed as the doors do it, with JOURNEYS_IDENTIFIER_KEY, "
            f"which has to be the workers', and looked up as {show_key(asked.key)}: no stored touchpoint belongs to it"
        )
    hint = meant_instead(asked.text, asked.key, namesakes) or "`journeys sql` shows who there is"
    return Misconfigured(f"nobody is known under {asked.text}: no stored touchpoint belongs to it; {hint}")

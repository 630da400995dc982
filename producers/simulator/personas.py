"""Who the customers are. A persona follows from its number alone, so two million of them take no memory."""

from __future__ import annotations

from typing import NamedTuple

from producers.simulator.assortment import STORES

_SPREAD = 0x9E3779B97F4A7C15


class Persona(NamedTuple):
    """One customer. `phone` is E.164 and `email` an address, both raw: the client that sends them hides them."""

    customer_id: str
    loyalty_id: str
    phone: str
    email: str
    device_id: str
    anonymous_id: str
    language: str
    home_store: str
    patience: float
    """0 to 1: how long they wait before they hang up, and how rarely they complain."""

    def identifiers(self, kind: str | None) -> dict[str, str]:
        """By what a source knows this customer: the customer_id, and one more kind if asked."""
        known = {"customer_id": self.customer_id}
        if kind is not None:
            known[kind] = getattr(self, kind)
        return known


def make_persona(number: int) -> Persona:
    """The customer of that number; the same in every run."""
    mixed = (number * _SPREAD ^ number >> 3) % 2**32
    return Persona(
        customer_id=f"C-{100_000 + number}",
        loyalty_id=f"L-{7_000_000 + number}",
        phone=f"+9725{number // 10**7 % 10}{number * 7_919 % 10**7:07d}",
        email=f"customer.{number}@example.com",
        device_id=f"d-{mixed:08x}{number:x}",
        anonymous_id=f"a-{mixed ^ 0x5BD1E995:08x}{number:x}",
        language="he" if mixed % 10 < 7 else "en",
        home_store=STORES[mixed % len(STORES)].store_id,
        patience=(mixed >> 8) % 1_000 / 1_000,
    )

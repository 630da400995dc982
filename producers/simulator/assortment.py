"""What the shop is made of: stores, products, and the words of its customers in Hebrew and English."""

from __future__ import annotations

from collections.abc import Mapping
from random import Random
from typing import NamedTuple


class Store(NamedTuple):
    store_id: str
    city: str
    city_he: str


STORES = tuple(
    Store(f"S-{number:02d}", city, city_he)
    for number, (city, city_he) in enumerate(
        (
            ("Tel Aviv", "תל אביב"),
            ("Tel Aviv North", "תל אביב צפון"),
            ("Jerusalem", "ירושלים"),
            ("Haifa", "חיפה"),
            ("Rishon LeZion", "ראשון לציון"),
            ("Petah Tikva", "פתח תקווה"),
            ("Ashdod", "אשדוד"),
            ("Netanya", "נתניה"),
            ("Beer Sheva", "באר שבע"),
            ("Holon", "חולון"),
            ("Nazareth", "נצרת"),
            ("Eilat", "אילת"),
        ),
        start=1,
    )
)
PRODUCTS = 600
TOPICS = ("delivery", "refund", "billing", "product", "warranty", "loyalty", "account", "אחריות")
QUERIES = {
    "he": ("אוזניות אלחוטיות", "נעלי ריצה", "מכונת קפה", "מתנה ליום הולדת", "שואב אבק רובוטי", "תיק גב"),
    "en": ("wireless headphones", "running shoes", "espresso machine", "birthday gift", "robot vacuum", "backpack"),
}
COMPLAINTS = {
    "he": ("המשלוח לא הגיע ואף אחד לא עונה", "קיבלתי מוצר פגום", "חויבתי פעמיים"),
    "en": ("The parcel never came and nobody answers", "The item arrived broken", "I was charged twice"),
}
PRAISE = {"he": ("שירות מעולה!", "הגיע לפני הזמן"), "en": ("Great service!", "Came early, thank you")}
RETURN_REASONS = ("too_small", "too_big", "faulty", "not_as_described", "changed_mind", "מידה לא מתאימה")
PAYMENT_FAILURES = ("card_declined", "insufficient_funds", "3ds_timeout", "expired_card")
FAILED_DELIVERIES = ("nobody_home", "wrong_address", "הכתובת לא נמצאה")
AGENTS = 240


def pick_sku(rng: Random) -> str:
    """A product; a few sell most."""
    return f"SKU-{10_000 + int(PRODUCTS * rng.random() ** 2.2)}"


def price(sku: str) -> float:
    """The price of one piece in ILS, always the same for a product."""
    number = int(sku[4:])
    return 19.9 + number * 7_919 % 780


def pick_store(rng: Random) -> str:
    """Any store."""
    return STORES[int(rng.random() * len(STORES))].store_id


def pick_agent(rng: Random) -> str:
    """One of the people who serve."""
    return f"A-{int(rng.random() * AGENTS):03d}"


def say(rng: Random, texts: Mapping[str, tuple[str, ...]], language: str) -> str:
    """One of the texts in that language."""
    choices = texts[language]
    return choices[int(rng.random() * len(choices))]

"""A seeded simulator of a shop: pure, no I/O, no clock, no global chance.

`Shop` tells a shop's life; `make_demo` one to look at; `disorder`, `as_ndjson` and `lived` are what is done with its
touchpoints; `Friction` and `Ledger` are the truth about what hurt.
"""

from producers.simulator.demo import Demo, make_demo
from producers.simulator.shop import Shop, Surge
from producers.simulator.stream import as_ndjson, disorder, lived
from producers.simulator.truth import EXACT_RULES, RULES, Friction, Ledger

__all__ = [
    "EXACT_RULES",
    "RULES",
    "Demo",
    "Friction",
    "Ledger",
    "Shop",
    "Surge",
    "as_ndjson",
    "disorder",
    "lived",
    "make_demo",
]

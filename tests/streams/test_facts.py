from itertools import permutations
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.fact import Fact, check_fact
from schemas.moments import format_epoch_ms
from streams.facts import HORIZON_MS, FactBook

T0 = 1_790_000_000_000
DAY_MS = 86_400_000


def restocked(at_ms: int, event_id: str = "r", sku: str = "K-1", store_id: str | None = None, **envelope: Any) -> Fact:
    return stated("restocked", at_ms, event_id, {"sku": sku, "store_id": store_id}, envelope)


def level(at_ms: int, quantity: int, event_id: str = "l", sku: str = "K-1", store_id: str = "S-1") -> Fact:
    return stated("stock_level", at_ms, event_id, {"sku": sku, "store_id": store_id, "quantity": quantity}, {})


def stated(type_: str, at_ms: int, event_id: str, properties: dict[str, Any], envelope: dict[str, Any]) -> Fact:
    occurred_at = format_epoch_ms(at_ms)
    return check_fact(
        {"event_id": event_id, "source": "store", "type": type_, "occurred_at": occurred_at, "properties": properties}
        | envelope
    )


def book_of(*facts: Fact) -> FactBook:
    book = FactBook()
    for fact in facts:
        book.feed(fact)
    return book


@pytest.mark.parametrize(
    ("restock_store", "wish_store", "is_answer"),
    [("S-1", "S-1", True), ("S-1", None, True), ("S-1", "S-2", False), (None, "S-1", True), (None, None, True)],
)
def test_whose_wish_a_restock_answers(restock_store: str | None, wish_store: str | None, is_answer: bool) -> None:
    book = book_of(restocked(T0, store_id=restock_store))
    assert (book.first_restock("K-1", wish_store, T0 - 1, T0) is not None) is is_answer
    assert book.first_restock("K-2", wish_store, T0 - 1, T0) is None


def test_a_store_that_only_the_envelope_names_is_named() -> None:
    book = book_of(
        restocked(T0, store_id=None),
    )
    assert book.first_restock("K-1", "S-2", 0, T0) == (T0, "store/r")
    book = book_of(stated("restocked", T0, "r", {"sku": "K-1"}, {"store_id": "S-1"}))
    assert book.first_restock("K-1", "S-2", 0, T0) is None and book.first_restock("K-1", "S-1", 0, T0) is not None


def test_the_first_strictly_after_the_wish_and_not_after_the_end() -> None:
    book = book_of(
        restocked(T0 + 2, "b"), restocked(T0 + 1, "a", store_id="S-1"), restocked(T0 + 1, "0", store_id="S-2")
    )
    assert book.first_restock("K-1", "S-1", T0, T0 + 9) == (T0 + 1, "store/a")
    assert book.first_restock("K-1", "S-1", T0 + 1, T0 + 2) == (T0 + 2, "store/b")
    assert book.first_restock("K-1", "S-1", T0 + 1, T0 + 1) is None
    assert book.first_restock("K-1", "S-1", T0 + 2, T0 + 9) is None
    assert book.first_restock("K-1", None, T0, T0 + 9) == (T0 + 1, "store/0")


def test_a_level_above_nothing_after_nothing_is_a_restock() -> None:
    book = FactBook()
    assert book.feed(level(T0, 5, "a")) == frozenset(), "nothing was known before"
    assert book.feed(level(T0 + 10, 7, "b")) == frozenset(), "it was there all the time"
    assert book.feed(level(T0 + 20, -1, "c")) == frozenset()
    assert book.feed(level(T0 + 30, 1, "d")) == {"K-1"}
    assert book.feed(level(T0 + 40, 2, "e")) == frozenset()
    assert book.first_restock("K-1", "S-1", T0, T0 + 99) == (T0 + 30, "store/d")
    assert book.first_restock("K-1", "S-2", T0, T0 + 99) is None
    assert book.feed(level(T0 + 25, 3, "f")) == {"K-1"}, "it was back earlier than we knew"
    assert book.first_restock("K-1", None, T0, T0 + 99) == (T0 + 25, "store/f")
    assert book.first_restock("K-1", None, T0 + 25, T0 + 99) is None


def test_a_long_absence_ends_in_a_restock() -> None:
    book = book_of(level(T0, 0, "a"), restocked(T0 + 2 * HORIZON_MS, "other", sku="K-2"), level(T0 - 1, 5, "before"))
    assert book.feed(level(T0 + 2 * HORIZON_MS, 4, "b")) == {"K-1"}


def test_restocks_that_are_too_old_are_forgotten_and_named() -> None:
    book = book_of(restocked(T0, "a"), restocked(T0 + 1, "b", sku="K-2"))
    newest = restocked(T0 + HORIZON_MS, "c", sku="K-3")
    assert book.feed(newest) == {"K-3"} and book.first_restock("K-1", None, 0, T0) == (T0, "store/a")
    assert book.feed(restocked(T0 + HORIZON_MS + 1, "d", sku="K-3")) == {"K-3", "K-1"}
    assert book.first_restock("K-1", None, 0, T0) is None and book.first_restock("K-2", None, 0, T0 + 1) is not None
    assert book.feed(restocked(T0, "a")) == frozenset() and book.first_restock("K-1", None, 0, T0) is None


def test_other_facts_change_nothing() -> None:
    assert FactBook().feed(stated("source_heartbeat", T0, "h", {}, {})) == frozenset()


@pytest.mark.parametrize("quantities", list(permutations((0, 1, 2))))
def test_levels_that_contradict_each_other_are_one_restock(quantities: tuple[int, ...]) -> None:
    book = FactBook()
    for quantity in quantities:
        book.feed(level(T0, quantity, "a"))
    assert book.first_restock("K-1", "S-1", 0, T0) == (T0, "store/a")


SKUS, STORES = ("K-1", "K-2"), ("S-1", "S-2")
moments = st.integers(0, 8).map(lambda step: T0 + step * HORIZON_MS // 4)
facts = st.one_of(
    st.builds(restocked, moments, st.sampled_from("abc"), st.sampled_from(SKUS), st.sampled_from([*STORES, None])),
    st.builds(
        level, moments, st.integers(-1, 2), st.sampled_from("abc"), st.sampled_from(SKUS), st.sampled_from(STORES)
    ),
)


def restocks_in_plain_lines(said: list[Fact]) -> set[tuple[int, str, str, str | None]]:
    """(when, reference, sku, store) of every restock that these facts state or show."""
    newest_ms = max(fact.occurred_ms for fact in said)
    found: set[tuple[int, str, str, str | None]] = set()
    levels: dict[tuple[str, str | None], set[tuple[int, str, int]]] = {}
    for fact in said:
        properties: Any = fact.properties
        if fact.type == "restocked":
            found.add((fact.occurred_ms, fact.reference, properties.sku, fact.store))
        else:
            state = (fact.occurred_ms, fact.reference, properties.quantity)
            levels.setdefault((properties.sku, fact.store), set()).add(state)
    for (sku, store), states in levels.items():
        known: int | None = None
        for at_ms, reference, quantity in sorted(states):
            if quantity > 0 and known is not None and known <= 0:
                found.add((at_ms, reference, sku, store))
            known = quantity
    return {restock for restock in found if restock[0] >= newest_ms - HORIZON_MS}


def answers(book: FactBook) -> dict[tuple[str, str | None, int], tuple[int, str] | None]:
    asked = [
        (sku, store, T0 + step * HORIZON_MS // 4) for sku in SKUS for store in (*STORES, None) for step in range(-1, 9)
    ]
    return {(sku, store, after): book.first_restock(sku, store, after, 2**60) for sku, store, after in asked}


@settings(max_examples=150, deadline=None)
@given(st.lists(facts, min_size=1, max_size=12), st.randoms(use_true_random=False))
def test_answers_are_a_function_of_the_set_of_facts(said: list[Fact], rng: Random) -> None:
    arrivals = said + rng.choices(said, k=len(said) // 2)
    rng.shuffle(arrivals)
    book = FactBook()
    for fact in arrivals:
        before = answers(book)
        changed = book.feed(fact)
        after = answers(book)
        assert {sku for (sku, *_), answer in after.items() if before[sku, *_] != answer} <= changed
    restocks = restocks_in_plain_lines(said)
    for (sku, store, after_ms), answer in answers(book).items():
        fits = [
            (at_ms, reference)
            for at_ms, reference, restock_sku, restock_store in restocks
            if restock_sku == sku and at_ms > after_ms and (store is None or restock_store in (store, None))
        ]
        assert answer == min(fits, default=None)
    assert all(book.feed(fact) == frozenset() for fact in said)


def test_memory_holds_what_the_horizon_holds() -> None:
    book = FactBook()
    for step in range(4_000):
        book.feed(restocked(T0 + step * DAY_MS, f"r{step}", store_id="S-1"))
        book.feed(level(T0 + step * DAY_MS, step % 2, f"l{step}"))
    assert len(book._anywhere["K-1"]) <= 2 * 91 and len(book._levels["K-1", "S-1"]) <= 92
    assert len(book._expiring) <= 2 * 91

"""Looking around on the site: browsing, comparing, leaving, and asking to be told of a restock."""

from __future__ import annotations

from collections.abc import Generator

from producers.simulator.assortment import QUERIES, pick_sku, price, say
from producers.simulator.contacting import contact
from producers.simulator.story import Step, Story, Telling

_PAGES = ("/", "/sale", "/new", "/he/", "/gifts", "/stores")


def browse(story: Story) -> Telling:
    """A visit to the site without an order."""
    yield from look_around(story)
    if story.chance(0.3):
        (sku,) = yield from fill_cart(story, 1)
        if story.chance(0.3):
            story.wait(10, 120)
            yield story.touch("checkout_started", {"cart_value": price(sku)})
        if story.known and story.chance(0.1):
            yield from contact(story, "product", "chat", None)


def look_around(story: Story) -> Telling:
    """A few pages, a search, some products compared."""
    yield story.touch("page_viewed", {"url": _PAGES[int(story.rng.random() * len(_PAGES))]})
    story.wait(3, 40)
    if story.chance(0.55):
        query = say(story.rng, QUERIES, story.persona.language)
        yield story.touch("searched", {"query": query, "results": int(story.rng.random() * 60)})
        story.wait(3, 30)
    for _ in range(1 + int(story.rng.random() * 4)):
        yield from look_at(story, pick_sku(story.rng))
    if not story.known and story.chance(0.3):
        yield from log_in(story)


def look_at(story: Story, sku: str) -> Telling:
    """One product: its page, perhaps its stock and reviews."""
    yield story.touch("product_viewed", {"sku": sku, "price": price(sku)})
    story.wait(5, 90)
    if story.chance(0.4):
        in_stock = story.chance(0.93)
        yield story.touch("stock_shown", {"sku": sku, "in_stock": in_stock, "quantity": 7 if in_stock else 0})
        story.wait(1, 20)
        if not in_stock and story.chance(0.6):
            yield from ask_for_restock(story, sku)
    if story.chance(0.25):
        yield story.touch("review_opened", {"sku": sku})
        story.wait(10, 120)


def log_in(story: Story) -> Telling:
    """From here on the site knows who it is."""
    story.known = True
    recognised = story.touch("identified", {"method": "password"})
    # The app too knows by what it called the visitor before.
    recognised.payload["identifiers"]["anonymous_id"] = story.persona.anonymous_id
    yield recognised
    story.wait(1, 10)


def fill_cart(story: Story, pieces: int) -> Generator[Step, None, list[str]]:
    """Put that many products into the cart; returns which."""
    skus = [pick_sku(story.rng) for _ in range(pieces)]
    for sku in skus:
        yield story.touch("cart_updated", {"sku": sku, "quantity": 1 + story.chance(0.15)})
        story.wait(3, 60)
    return skus


def ask_for_restock(story: Story, sku: str) -> Telling:
    """Leave a wish; the stock comes back, and somebody tells the customer in time, too late or never."""
    if not story.known:
        yield from log_in(story)
    store_id = story.persona.home_store if story.chance(0.3) else None
    yield story.touch("back_in_stock_requested", {"sku": sku, "store_id": store_id} if store_id else {"sku": sku})
    story.branch(_restock, sku, store_id)


def _restock(story: Story, sku: str, store_id: str | None) -> Telling:
    if store_id is not None and story.chance(0.5):
        yield from _count_again(story, sku, store_id)
    else:
        story.wait_hours(12, 120)
        # A store may have it again for a customer who asked for no store.
        store_id = store_id or (story.persona.home_store if story.chance(0.2) else None)
        yield story.fact("restocked", {"sku": sku, "store_id": store_id} if store_id else {"sku": sku})
    if story.chance(0.75):
        story.wait_hours(*((0.1, 12) if story.chance(0.9) else (25, 80)))
        channel = "email" if story.chance(0.6) else "sms"
        yield story.touch("notification_sent", {"topic": "restock", "sku": sku}, channel=channel)


def _count_again(story: Story, sku: str, store_id: str) -> Telling:
    story.wait(60, 3600)
    yield story.fact("stock_level", {"sku": sku, "store_id": store_id, "quantity": 0})
    story.wait_hours(12, 120)
    yield story.fact("stock_level", {"sku": sku, "store_id": store_id, "quantity": 1 + int(12 * story.rng.random())})

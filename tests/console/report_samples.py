"""Weeks for tests of the report, and a reader of its pages."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from html.parser import HTMLParser

from console.report_html import VOID
from console.report_model import (
    Complaints,
    Contacts,
    Facts,
    Journeys,
    Mean,
    Part,
    Promises,
    RuleCount,
    Silent,
    StoreCount,
    Survey,
    TopicCount,
    Waits,
    Week,
)
from console.report_span import Span

SPAN = Span(date(2026, 9, 7), date(2026, 9, 14))
EMPTY = Facts(Week(SPAN), Week(SPAN.before()))
JOURNEY = "01f5c545-551d-53ac-8c86-4a812d9e8391"
WEEK = Week(
    SPAN,
    touchpoints=5_000,
    active_journeys=400,
    journeys=Journeys(200, 190, 80, Mean(70, 10, 200), Mean(15, 5, 200)),
    begun={date(2026, 9, 7): 120, date(2026, 9, 13): 80},
    hurt={date(2026, 9, 8): 40},
    frictions=(RuleCount("long_wait", 40, 30, (JOURNEY,)), RuleCount("own_rule", 4, 4, (JOURNEY,))),
    customers_hit=Part(33, 390),
    stores=(StoreCount("S-1", 10, 100), StoreCount("S-2", 1, 3)),
    hours={(2, 13): 40, (7, 23): 4},
    promises=(Promises("delivery", 80, 15, 5, 1), Promises("own_kind", 2, 0, 0, 0), Promises("hold", open=3)),
    on_time=Part(70, 90),
    contacts=Contacts(
        Part(12, 60), Part(40, 50), Part(15, 60), (TopicCount("delivery", 40, 8), TopicCount("x", 20, 4)),
    ),
    waits=(
        Waits("queue", "", 50, 2, 240.0, 700.0), Waits("human", "chat", 30, 0, 40.0, 90.0),
        Waits("human", "email", 3, 1, 7_000.0, 9_000.0),
    ),
    complaints=Complaints(30, 25, 9, 50.0),
    surveys={"csat": Survey(40, 30, 4), "ces": Survey(3, 1, 1), "nps": Survey(50, 20, 15)},
    delights=(RuleCount("fast_service", 90, 80, (JOURNEY,)),),
    recovered=Part(30, 44),
    silent=(Silent("C-1", date(2026, 8, 20), ("long_wait", "own_rule")),),
    silent_count=12,
)  # fmt: skip
BEFORE = replace(
    WEEK,
    span=SPAN.before(),
    journeys=Journeys(210, 200, 120, Mean(60, 10, 210), Mean(15, 5, 210)),
    frictions=(RuleCount("long_wait", 10, 9), RuleCount("wismo", 8, 8)),
    recovered=Part(10, 12),
    surveys={"nps": Survey(60, 20, 30)},
    waits=(Waits("queue", "", 40, 0, 200.0, 500.0),),
)
TITLES = {
    "en": {"long_wait": "Long wait", "wismo": "Where is my order?", "fast_service": "Served at once"},
    "he": {"long_wait": "המתנה ארוכה", "wismo": "איפה ההזמנה שלי?", "fast_service": "שירות מיידי"},
}
ENGLISH = Facts(WEEK, BEFORE, TITLES["en"])
HEBREW = Facts(WEEK, BEFORE, TITLES["he"])


class Page(HTMLParser):
    """A page as it is read: it must be balanced."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[tuple[str, bool]] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        """What a person reads or hears, without names out of the database and without styles."""
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        self.tags.append((tag, given))
        if tag not in VOID:
            self.open.append((tag, tag == "style" or given.get("class") == "id"))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop()[0] == tag

    def handle_data(self, data: str) -> None:
        if not any(hidden for _, hidden in self.open):
            self.words.append(data)

    @property
    def text(self) -> str:
        """All of it on one line."""
        return " ".join(" ".join(self.words).split())

"""Names of customers and topics in a report are what a source wrote, and never more than text."""

from __future__ import annotations

from datetime import UTC, date, datetime

from console.report_page import render
from console.report_reading import read_facts
from console.report_span import Span
from console.report_words import Words
from schemas.moments import to_epoch_ms
from tests.console.report_samples import Page
from tests.marts.conftest import Load
from tests.marts.loading import say

EVIL = "</title><script>alert(1)</script>"
EVIL_TOPIC = f"{EVIL}\u202egnp"
SPAN = Span(date(2026, 9, 7), date(2026, 10, 5))


def test_names_of_customers_and_topics_are_escaped(history: Load) -> None:
    properties = {"contact_id": "K-1", "topic": EVIL_TOPIC}
    asked = say(
        EVIL, "contact_started", "2026-09-07T10:00:00Z", source="support", event_id="1", channel="chat",
        properties=properties,
    )  # fmt: skip
    found = read_facts(history([asked], until_ms=to_epoch_ms(datetime(2026, 10, 5, tzinfo=UTC))), SPAN, "", "he", _hear)
    text = render(found, Words("he"))
    assert found.now.contacts is not None
    assert [each.topic for each in found.now.contacts.topics] == [EVIL_TOPIC]
    assert [each.customer for each in found.now.silent or ()] == [EVIL]
    assert text.count("&lt;script&gt;") == 2
    assert "<script" not in text
    assert "\u202e" not in text
    Page(text)


def _hear(_: str) -> None:
    pass

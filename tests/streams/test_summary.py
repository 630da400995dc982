"""What a journey comes to, against plain lines that look at all of its touches at once."""

from collections import Counter
from typing import Any

from hypothesis import example, given
from hypothesis import strategies as st

from schemas.catalogue import BY_NAME, SOURCES, STAGES, UNKNOWN_STAGE
from streams.stitching import Journey
from streams.summary import MAX_PATH, NO_WAIT_MS, Summary
from streams.touch import Touch
from tests.streams.oracle import outcome

START_MS, MINUTE_MS = 1_700_000_000_000, 60_000
CONTACT = ("contact_started", "contact_answered", "contact_abandoned", "contact_ended")
QUEUE = ("queue_joined", "service_started")
TYPES = (
    "page_viewed", "cart_updated", "order_placed", "purchased", "returned", "complaint_opened", "complaint_resolved",
    "window_admired", "contact_transferred", "order_status_viewed", *CONTACT, *QUEUE,
)  # fmt: skip


@st.composite
def touches(draw: st.DrawFn) -> list[Touch]:
    """Touches in order of time; few types, contacts and queues, so that they meet."""
    types = draw(st.sampled_from((TYPES, CONTACT, QUEUE, TYPES[5:7] + CONTACT)))
    made = []
    for number in range(draw(st.integers(0, 14))):
        touch = Touch(START_MS + number * MINUTE_MS, draw(st.sampled_from(SOURCES)), f"e{number}", "", 0)
        touch.type = draw(st.sampled_from(types))
        touch.channel = draw(st.sampled_from((None, "phone", "web")))
        touch.store_id = draw(st.sampled_from((None, "S-1")))
        subject = draw(st.sampled_from(("1", "2")))
        touch.details = {"contact_id": subject, "queue": subject, "resolved": draw(st.booleans())}
        made.append(touch)
    return made


def found(summary: Summary) -> dict[str, Any]:
    """All that is public of a summary."""
    public = [name for name in Summary.__slots__ if not name.startswith("_")]
    return {**{name: getattr(summary, name) for name in public}, "outcome": summary.outcome()}


def expected(made: list[Touch]) -> dict[str, Any]:
    types = [touch.type for touch in made]
    by_source = Counter(touch.source for touch in made)
    stages = [BY_NAME[kind].stage if kind in BY_NAME else UNKNOWN_STAGE for kind in types]
    return {
        "count": len(made),
        "sources": [by_source[source] for source in SOURCES],
        "stages": [made[stages.index(stage)].occurred_ms if stage in stages else 0 for stage in STAGES],
        "channels": list(dict.fromkeys(touch.channel or touch.source for touch in made)),
        "path": types[:MAX_PATH],
        "contacts": types.count("contact_started"),
        "orders": types.count("order_placed") + types.count("purchased"),
        "transfers": types.count("contact_transferred"),
        "lookups": types.count("order_status_viewed"),
        "own_channels": list(dict.fromkeys(t.channel or t.source for t in made if t.source != "messaging")),
        "queue_wait_ms": longest_wait([(t.type, t.occurred_ms, (t.store_id, detail(t, "queue"))) for t in made], QUEUE),
        "contact_wait_ms": longest_wait([(t.type, t.occurred_ms, detail(t, "contact_id")) for t in made], CONTACT),
        "outcome": outcome(made),
    }


def detail(touch: Touch, name: str) -> Any:
    return (touch.details or {})[name]


def longest_wait(happened: list[tuple[str, int, Any]], types: tuple[str, ...]) -> int:
    """The longest time from a beginning to the next touch of these types about the same, if that is an end."""
    began, *_ = types
    relevant = [each for each in happened if each[0] in types]
    waits = [NO_WAIT_MS]
    for place, (kind, at_ms, about) in enumerate(relevant):
        following = next((later for later in relevant[place + 1 :] if later[2] == about), None)
        if kind == began and following is not None and following[0] != began:
            waits.append(following[1] - at_ms)
    return max(waits)


@given(touches(), st.lists(st.integers(0, 14), max_size=6))
def test_touches_may_be_counted_in_any_pieces(made: list[Touch], cuts: list[int]) -> None:
    summary = Summary()
    for end in (*sorted(cuts), len(made)):
        summary.extend(made[summary.count : end])
        assert found(summary) == expected(made[: summary.count])


@given(touches(), st.data())
def test_a_journey_counts_just_its_own_touches_and_each_once(made: list[Touch], data: st.DataObject) -> None:
    others = [Touch(START_MS - MINUTE_MS, "web", f"before-{number}", "purchased", 0) for number in range(2)]
    journey = Journey(others[0], len(others), 0, 0)
    for _ in range(4):
        journey.count = data.draw(st.integers(journey.count, len(made)))
        assert found(journey.summarise(others + made)) == expected(made[: journey.count])


@given(touches(), touches())
@example([], [])
def test_a_copy_goes_its_own_way(made: list[Touch], more: list[Touch]) -> None:
    summary = Summary()
    summary.extend(made)
    copy = summary.copied()
    copy.extend(more)
    assert found(summary) == expected(made)
    summary.extend(more)
    assert found(copy) == found(summary)


def test_a_long_journey_keeps_the_beginning_of_its_path() -> None:
    made = [Touch(START_MS + number, "web", str(number), f"step_{number}", 0) for number in range(MAX_PATH + 50)]
    summary = Summary()
    for start in range(0, len(made), 30):
        summary.extend(made[start : start + 30])
    assert summary.path == [f"step_{number}" for number in range(MAX_PATH)] and summary.count == MAX_PATH + 50

"""Calls, chats and messages to the support desk, and what follows from them."""

from __future__ import annotations

from collections.abc import Generator

from producers.simulator.assortment import COMPLAINTS, TOPICS, pick_agent, say
from producers.simulator.hours import CALL_CENTRE, HOUR_MS
from producers.simulator.story import Step, Story, Telling, format_moment

CHANNELS = ("phone", "phone", "phone", "chat", "chat", "chat", "email", "whatsapp")
_QUEUES = ("delivery_desk", "billing", "second_level", "warranty", "retention")


def ask(story: Story) -> Telling:
    """A question that hangs on no order."""
    topic = TOPICS[int(story.rng.random() * len(TOPICS))]
    yield from need_help(story, topic)


def need_help(story: Story, topic: str, order_id: str | None = None) -> Telling:
    """Ask, and ask again until it is solved or no longer worth the trouble."""
    for _ in range(4):
        channel = CHANNELS[int(story.rng.random() * len(CHANNELS))]
        resolved = yield from contact(story, topic, channel, order_id)
        if resolved or story.chance(0.45):
            return
        story.wait_hours(*((0.1, 6) if story.chance(0.5) else (10, 100)))


def contact(story: Story, topic: str, channel: str, order_id: str | None) -> Generator[Step, None, bool]:
    """One contact from the first ring to what is left behind; returns whether it solved the matter."""
    if channel == "phone":
        story.wait_for_opening(CALL_CENTRE)
    contact_id = story.stage.name("K")
    properties = {"contact_id": contact_id, "topic": topic}
    yield story.touch("contact_started", properties, order_id=order_id, channel=channel)
    fate = story.rng.random()
    if fate < 0.012:
        return False
    if fate < 0.07:
        yield from _give_up(story, contact_id, channel, order_id)
        return False
    if channel == "chat" and fate < 0.45:
        return (yield from _talk_to_bot(story, contact_id, order_id))
    return (yield from _talk_to_human(story, contact_id, channel, order_id))


def _give_up(story: Story, contact_id: str, channel: str, order_id: str | None) -> Telling:
    patience = story.persona.patience
    story.wait(15, 60 + 400 * patience) if channel in ("phone", "chat") else story.wait_hours(1, 30)
    yield story.touch("contact_abandoned", {"contact_id": contact_id}, order_id=order_id, channel=channel)


def _wait_for_answer(story: Story, channel: str) -> None:
    luck = story.rng.random()
    if channel == "phone":
        story.wait(1, 20) if luck < 0.8 else story.wait(20, 150) if luck < 0.95 else story.wait(150, 700)
    elif channel == "chat":
        story.wait(4, 50) if luck < 0.85 else story.wait(50, 260)
    else:
        story.wait_hours(0.05, 3) if luck < 0.8 else story.wait_hours(3, 22)


def _talk_to_bot(story: Story, contact_id: str, order_id: str | None) -> Generator[Step, None, bool]:
    story.wait(0.4, 3)
    yield from _answer(story, contact_id, "chat", order_id, "bot")
    if story.chance(0.15):
        return (yield from _talk_to_human(story, contact_id, "chat", order_id))
    story.wait(30, 300)
    if story.chance(0.1):
        yield story.touch("contact_abandoned", {"contact_id": contact_id}, order_id=order_id, channel="chat")
        return False
    resolved = story.chance(0.6)
    properties = {"contact_id": contact_id, "resolved": resolved}
    yield story.touch("contact_ended", properties, order_id=order_id, channel="chat")
    return resolved


def _answer(
    story: Story, contact_id: str, channel: str, order_id: str | None, by: str, agent_id: str | None = None
) -> Telling:
    properties = {"contact_id": contact_id, "by": by}
    yield story.touch("contact_answered", properties, order_id=order_id, channel=channel, agent_id=agent_id)


def _talk_to_human(story: Story, contact_id: str, channel: str, order_id: str | None) -> Generator[Step, None, bool]:
    _wait_for_answer(story, channel)
    answered_ms, agent_id = story.at_ms, pick_agent(story.rng)
    yield from _answer(story, contact_id, channel, order_id, "human", agent_id)
    story.wait(60, 500)
    if story.chance(0.11):
        agent_id = yield from _pass_on(story, contact_id, channel, order_id)
    if story.chance(0.05):
        yield from _complain(story, order_id)
    resolved = story.chance(0.76)
    if not resolved and story.chance(0.25):
        yield from _promise_callback(story, contact_id, channel, order_id)
    story.wait(5, 60)
    handled = (story.at_ms - answered_ms) / 1000
    properties = {"contact_id": contact_id, "resolved": resolved, "handle_seconds": handled}
    yield story.touch("contact_ended", properties, order_id=order_id, channel=channel, agent_id=agent_id)
    if story.chance(0.12):
        yield from _rate(story, resolved)
    return resolved


def _pass_on(story: Story, contact_id: str, channel: str, order_id: str | None) -> Generator[Step, None, str]:
    """Hand the customer on, once or twice; returns in whose hands they are then."""
    agent_id = ""
    for to_queue in story.rng.sample(_QUEUES, 1 + story.chance(0.3)):
        agent_id = pick_agent(story.rng)
        properties = {"contact_id": contact_id, "to_queue": to_queue}
        yield story.touch("contact_transferred", properties, order_id=order_id, channel=channel)
        story.wait(40, 400)
        yield from _answer(story, contact_id, channel, order_id, "human", agent_id)
        story.wait(40, 400)
    if story.chance(0.25):
        yield story.touch("contact_escalated", {"contact_id": contact_id}, order_id=order_id, channel=channel)
        story.wait(60, 400)
        return pick_agent(story.rng)
    return agent_id


def _complain(story: Story, order_id: str | None) -> Telling:
    case_id = story.stage.name("Q")
    text = say(story.rng, COMPLAINTS, story.persona.language)
    yield story.touch("complaint_opened", {"topic": "service", "text": text}, order_id=order_id, case_id=case_id)
    story.branch(_settle_complaint, order_id, case_id, *((2, 46) if story.chance(0.65) else (50, 200)))


def _settle_complaint(story: Story, order_id: str | None, case_id: str, low_hours: float, high_hours: float) -> Telling:
    story.wait_hours(low_hours, high_hours)
    yield story.touch("complaint_resolved", order_id=order_id, case_id=case_id)


def _promise_callback(story: Story, contact_id: str, channel: str, order_id: str | None) -> Telling:
    due_ms = story.at_ms + int((2 + story.rng.random() * 22) * HOUR_MS)
    properties = {"contact_id": contact_id, "due_at": format_moment(due_ms)}
    yield story.touch("callback_promised", properties, order_id=order_id, channel=channel)
    story.branch(_call_back, contact_id, order_id, due_ms)


def _call_back(story: Story, contact_id: str, order_id: str | None, due_ms: int) -> Telling:
    """The call that was promised comes in time, too late, or never."""
    fate = story.rng.random()
    if fate < 0.75:
        # Never before the conversation in which it was promised has ended.
        story.at_ms += int((due_ms - story.at_ms) * (0.2 + 0.75 * story.rng.random()))
    elif fate < 0.85:
        story.wait_until(due_ms)
        story.wait_hours(0.2, 60)
    else:
        return
    yield story.touch("callback_made", {"contact_id": contact_id}, order_id=order_id, channel="phone")


def _rate(story: Story, resolved: bool) -> Telling:
    story.wait(60, 3600)
    score = int(1 + story.rng.random() * 3) if not resolved else int(3 + story.rng.random() * 3)
    yield story.touch("survey_answered", {"metric": "csat", "score": float(score), "scale": 5})

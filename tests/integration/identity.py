"""Histories whose customers are hidden behind an anonymous id per session, and what must come of them all the same."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Sequence

from tests.integration.expectations import Expected, differences, expect
from tests.integration.harness import Feed, Platform

LOGIN = "zz-login-"
"""Sorts after the touchpoint at whose time it happens."""


def hide_customers(records: Sequence[Feed]) -> list[Feed]:
    """The same sessions, each under an id of its own; in the middle of each somebody logs in."""
    sessions: defaultdict[str, list[dict[str, object]]] = defaultdict(list)
    for record in records:
        body = json.loads(record.value or b"")
        sessions[body["properties"]["session_id"]].append(body)
    middles = {
        sorted(bodies, key=lambda body: (body["occurred_at"], body["event_id"]))[len(bodies) // 2]["event_id"]: session
        for session, bodies in sessions.items()
    }
    hidden = []
    for record in records:
        body = json.loads(record.value or b"")
        session, customer = body["properties"]["session_id"], body["identifiers"]
        anonymous = {"anonymous_id": session}
        hidden.append(_feed(f"anonymous_id:{session}", {**body, "identifiers": anonymous}, record))
        if middles.get(body["event_id"]) == session:
            login = {
                "event_id": f"{LOGIN}{session}",
                "source": body["source"],
                "type": "identified",
                "occurred_at": body["occurred_at"],
                "identifiers": {**customer, **anonymous},
            }
            hidden.append(_feed(f"customer_id:{customer['customer_id']}", login, record))
    return hidden


def _feed(key: str, body: dict[str, object], like: Feed) -> Feed:
    return Feed(key.encode(), json.dumps(body).encode(), like.headers)


def assert_joined(platform: Platform, visible: Sequence[Feed]) -> Expected:
    """The journeys are those of the history with its customers visible, and nothing was refused."""
    assert platform.dead_letter_reasons() == {}
    return assert_journeys_joined(platform, visible)


def assert_journeys_joined(platform: Platform, visible: Sequence[Feed]) -> Expected:
    """The journeys are those of the history with its customers visible, once the logins are left out."""
    expected = expect(visible)
    members = {name: where for name, where in platform.members().items() if not name[1].startswith(LOGIN)}
    logins = dict(
        platform.query(
            "SELECT toString(journey_id), count() FROM analytics.touchpoints WHERE type = 'identified' GROUP BY 1"
        )
    )
    journeys = {
        identity: (customer, start, end, count - logins.get(identity, 0))
        for identity, (customer, start, end, count) in platform.journeys().items()
    }
    found = differences(members, expected.members) + differences(journeys, expected.journeys)
    assert not found, "\n".join(found)
    return expected

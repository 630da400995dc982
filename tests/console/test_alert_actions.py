import random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from console.alert_actions import Standing, effective_status, fold, list_silences, settle, silencing
from schemas.alert_action import ACTIONS, AlertAction
from tests.console.alert_samples import NOW, act, alert, at, silence, uuid


def test_the_last_action_of_each_kind_counts() -> None:
    actions = [act(1, "ack", 0), act(2, "ack", 2, by="Tal", note="mine"), act(3, "assign", 3, assignee="Dan")]
    actions += [act(4, "note", 1, note="first"), act(5, "resolve", 4, note="done")]
    expected = Standing("Tal", at(2), "Dan", "Noa", at(4), ("first", "mine", "done"))
    assert fold(actions) == fold(reversed(actions)) == expected
    undone = [*actions, act(6, "unack", 5), act(7, "reopen", 6), act(8, "assign", 7)]
    assert fold(undone) == Standing(notes=("first", "mine", "done"))
    assert fold([]) == Standing()


def test_actions_at_one_moment_count_by_their_ids() -> None:
    assert fold([act(2, "ack", by="second"), act(1, "ack", by="first")]).acknowledged_by == "second"


@given(st.randoms(use_true_random=False))
def test_the_order_of_arrival_does_not_matter(rng: random.Random) -> None:
    kinds = [kind for kind in ACTIONS if not kind.endswith("silence")]
    actions = [act(n, rng.choice(kinds), rng.randrange(3), note=rng.choice("ab")) for n in range(6)]
    expected = fold(actions)
    rng.shuffle(actions)
    assert fold(actions) == expected


@pytest.mark.parametrize(
    ("status", "is_resolved", "shown"),
    [("open", True, "resolved"), ("open", False, "open"), ("withdrawn", True, "withdrawn")],
)
def test_a_person_resolves_what_the_machine_has_not_taken_back(status: str, is_resolved: bool, shown: str) -> None:
    assert effective_status(status, fold([act(1, "resolve")] if is_resolved else [])) == shown


STANDS: dict[str, tuple[list[AlertAction], AlertAction, int | None]] = {
    "the first ack": ([], act(9, "ack", 5), 9),
    "the same ack": ([act(1, "ack")], act(9, "ack", 5), 1),
    "the same ack after other things": ([act(1, "ack"), act(2, "note", 1, note="x")], act(9, "ack", 5), 1),
    "an ack with another note": ([act(1, "ack")], act(9, "ack", 5, note="new"), 9),
    "an ack with the same note": ([act(1, "ack", note="same")], act(9, "ack", 5, note="same"), 1),
    "an ack by another": ([act(1, "ack")], act(9, "ack", 5, by="Tal"), 9),
    "an ack after it was taken back": ([act(1, "ack"), act(2, "unack", 1)], act(9, "ack", 5), 9),
    "an ack of another alert": ([act(1, "ack", episode_id=uuid(2))], act(9, "ack", 5), 9),
    "unack of nothing": ([], act(9, "unack", 5), None),
    "unack": ([act(1, "ack")], act(9, "unack", 5), 9),
    "unack by another, again": ([act(1, "ack"), act(2, "unack", 1)], act(9, "unack", 5, by="Tal"), 2),
    "unack of nothing with a note": ([], act(9, "unack", 5, note="odd"), 9),
    "assigned to the same": ([act(1, "assign", assignee="Dan", by="T")], act(9, "assign", 5, assignee="Dan"), 1),
    "assigned to somebody else": ([act(1, "assign", assignee="Dan")], act(9, "assign", 5, assignee="Gil"), 9),
    "assigned to nobody": ([act(1, "assign", assignee="Dan")], act(9, "assign", 5), 9),
    "assigned to nobody as before": ([], act(9, "assign", 5), None),
    "resolved by another already": ([act(1, "resolve")], act(9, "resolve", 5, by="Tal"), 1),
    "resolved after it was reopened": ([act(1, "resolve"), act(2, "reopen", 1)], act(9, "resolve", 5), 9),
    "the same note": ([act(1, "note", note="same")], act(9, "note", 5, note="same"), 1),
    "the same note by another": ([act(1, "note", note="same")], act(9, "note", 5, note="same", by="Tal"), 9),
    "another note": ([act(1, "note", note="one")], act(9, "note", 5, note="two"), 9),
    "silenced anew": ([silence(1, 0, 60, rule="x")], silence(9, 5, 60, rule="x"), 9),
    "unsilenced": ([silence(1, 0, 60, rule="x")], silence(9, 5, None, rule="x"), 9),
    "lifted again": ([silence(1, 0, 60, rule="x"), silence(2, 1, None, rule="x")], silence(9, 5, None, rule="x"), 2),
    "unsilenced after it ran out": ([silence(1, 0, 5, rule="x")], silence(9, 5, None, rule="x"), None),
    "unsilenced what others silenced": ([silence(1, 0, 60, rule="y")], silence(9, 5, None, rule="x"), None),
}  # fmt: skip


@pytest.mark.parametrize(("former", "wanted", "number"), STANDS.values(), ids=STANDS)
def test_what_stands_already_is_not_done_again(
    former: list[AlertAction], wanted: AlertAction, number: int | None
) -> None:
    found = settle(reversed(former), wanted)
    assert (None if found is None else found.action_id) == (None if number is None else uuid(number))


def test_settling_twice_is_settling_once() -> None:
    for former, wanted, _ in STANDS.values():
        first = settle(former, wanted)
        if first is not None and wanted.action != "silence":
            again = wanted.model_copy(update={"action_id": uuid(99), "acted_at": at(6)})
            assert settle([*former, first], again) == first


def test_silences_end_as_said_or_when_they_are_lifted_or_said_anew() -> None:
    actions = [silence(1, 0, 60, rule="x"), silence(2, 5, 90, rule="x"), silence(3, 7, None, rule="x")]
    actions += [
        silence(4, 1, 60, store_id="S-1"),
        act(5, "ack"),
        silence(6, 10, 11, rule="x"),
        silence(7, 20, 30, rule="x"),
    ]
    assert [(each.action.action_id, each.ends_at) for each in list_silences(reversed(actions))] == [
        (uuid(1), at(5)),
        (uuid(4), at(60)),
        (uuid(2), at(7)),
        (uuid(6), at(11)),
        (uuid(7), at(30)),
    ]


MATCHERS: list[tuple[dict[str, Any], bool]] = [
    ({"rule": "long_wait"}, True),
    ({"rule": "wismo"}, False),
    ({"store_id": "S-1", "subject": "tills", "customer_id": "C-1"}, True),
    ({"store_id": "S-1", "subject": "help desk"}, False),
    ({"customer_id": "C-2"}, False),
]


@pytest.mark.parametrize(("matchers", "matches"), MATCHERS)
def test_a_silence_matches_by_all_that_it_names(matchers: dict[str, str], matches: bool) -> None:
    silences = list_silences([silence(1, -5, 5, **matchers)])
    assert bool(silencing(alert(), silences, NOW)) == matches


def test_a_silence_of_one_alert_is_no_others() -> None:
    silences = list_silences([act(1, "silence", -5, until=at(5))])
    assert silencing(alert(), silences, NOW) and not silencing(alert(episode_id=uuid(2)), silences, NOW)


TIMES = [(None, -6, False), (None, -5, True), (None, 5, False), (4.9, 60, True), (5, 60, False), (-6, 60, False)]


@pytest.mark.parametrize(("resolved", "now", "silenced"), [*TIMES, (-6, 0, True)])
def test_a_silence_counts_while_it_lasts_and_for_what_ended_in_it(
    resolved: float | None, now: float, silenced: bool
) -> None:
    row = alert(resolved_at=None if resolved is None else at(resolved))
    silences = list_silences([silence(1, -5, 5, rule="long_wait")])
    assert bool(silencing(row, silences, at(now))) == silenced

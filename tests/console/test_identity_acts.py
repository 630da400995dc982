"""Acts before they are sent, and the wait for what a worker makes of them."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import pytest

from console.alert_store import Answer
from console.identity_acts import (
    SETTLING_SECONDS,
    Ground,
    await_decision,
    find_objection,
    is_fulfilled,
    make_act,
    refuse_circle,
    result_line,
    stands_already,
)
from console.identity_family import Decision
from console.identity_names import show_key
from console.identity_store import OWN_SQL, PAIR_SQL, STORED_SQL
from console.sql_results import Columns
from schemas.errors import Misconfigured, Terminal, Transient
from schemas.links import LinkRule
from tests.console.identity_samples import CUSTOMER, EMAIL, NOW, OTHER_EMAIL, SECOND, at, at_ms, decision, statement

LOYALTY, NOBODY_YET = "loyalty_id:L-1", Ground(None, None)


class Tables:
    """Answers as the tables would: decisions, and pairs for which there are links."""

    def __init__(self, *decisions: Decision, pairs: tuple[tuple[str, str], ...] = ()) -> None:
        self.decisions = {each.identifier: each for each in decisions}
        self.pairs = pairs
        self.stored = False

    def ask(self, sql: str, parameters: Mapping[str, Any]) -> Answer:
        rows: dict[str, Callable[[], list[Any]]] = {
            OWN_SQL: lambda: [
                tuple(vars(self.decisions[key]).values()) for key in parameters["keys"] if key in self.decisions
            ],
            PAIR_SQL: lambda: [(int((parameters["identifier"], parameters["owner"]) in self.pairs),)],
            STORED_SQL: lambda: [(int(self.stored),)],
        }
        return Answer(Columns((), ()), rows[sql]())


def unlink(identifier: str = EMAIL, owner: str = CUSTOMER, rule: LinkRule = "unlinked") -> Any:
    return make_act(rule, (identifier, owner), "Noa", "wrong person", NOW)


def test_an_act_says_who_when_and_why_under_an_id_of_its_own() -> None:
    link = make_act("unlinked", (EMAIL, CUSTOMER), " Noa ", " wrong person ", NOW)
    assert (link.source, link.by, link.reason, link.occurred_ms) == ("console", "Noa", "wrong person", at_ms(0))
    assert link.event_id != unlink().event_id


@pytest.mark.parametrize(
    ("pair", "by", "reason", "told"),
    [
        ((EMAIL, CUSTOMER), "Noa", "  ", "--reason must not be empty"),
        ((EMAIL, CUSTOMER), "", "x", "--by must not be empty"),
        ((EMAIL, CUSTOMER), "Noa", "x" * 1_001, "--reason must not be longer than 1,000"),
        ((EMAIL, EMAIL), "Noa", "x", "cannot belong to itself"),
        ((CUSTOMER, EMAIL), "Noa", "x", f"the other way round, unlink {show_key(EMAIL)} C-1"),
        ((EMAIL, OTHER_EMAIL), "Noa", "x", "are both of kind email, of which none"),
    ],
)
def test_what_no_link_can_say_is_refused(pair: tuple[str, str], by: str, reason: str, told: str) -> None:
    with pytest.raises(Misconfigured, match=told.replace("(", r"\(")):
        make_act("unlinked", pair, by, reason, NOW)


def test_customers_may_belong_together() -> None:
    assert unlink(SECOND, CUSTOMER).identifier == SECOND


def test_a_link_that_decided_or_that_was_only_seen_can_be_undone() -> None:
    assert find_objection(Tables().ask, unlink(), Ground(decision(EMAIL), None)) == ""
    assert find_objection(Tables(pairs=((EMAIL, CUSTOMER),)).ask, unlink(), NOBODY_YET) == ""


def test_an_unlink_between_two_that_nothing_joins_is_objected_to() -> None:
    told = find_objection(Tables(decision(EMAIL, SECOND)).ask, unlink(), Ground(decision(EMAIL, SECOND), None))
    assert told == f"no link joins {show_key(EMAIL)} and C-1: `journeys identity show {show_key(EMAIL)}` says what does"
    reversed_pair = find_objection(Tables(pairs=((CUSTOMER, SECOND),)).ask, unlink(SECOND, CUSTOMER), NOBODY_YET)
    assert reversed_pair.startswith("it is C-1 that belongs to C-2")


def test_an_unlink_over_several_hops_names_the_links_of_which_one_is_to_be_undone() -> None:
    chain = (decision("anonymous_id:a", LOYALTY), decision(LOYALTY, CUSTOMER), decision(CUSTOMER, SECOND))
    told = find_objection(Tables(*chain).ask, unlink("anonymous_id:a"), Ground(chain[0], None))
    assert told.endswith(
        "undo one of the hops between them, `unlink anonymous_id:a loyalty_id:L-1` or `unlink loyalty_id:L-1 C-1`"
    )


def test_an_order_that_would_make_a_circle_is_refused() -> None:
    tables = Tables(decision(SECOND, CUSTOMER))
    with pytest.raises(Misconfigured, match="C-2 belongs to C-1, so this would make a circle"):
        refuse_circle(tables.ask, unlink(CUSTOMER, SECOND, "relinked"))
    refuse_circle(tables.ask, unlink(CUSTOMER, SECOND, "unlinked"))
    refuse_circle(tables.ask, unlink(SECOND, CUSTOMER, "relinked"))


@pytest.mark.parametrize(
    ("rule", "said", "owner", "stands"),
    [
        ("unlinked", "unlinked", "", True),
        ("unlinked", "unlinked", CUSTOMER, False),
        ("unlinked", "relinked", CUSTOMER, False),
        ("unlinked", None, "", False),
        ("relinked", "relinked", CUSTOMER, True),
        ("relinked", "relinked", "", False),
    ],
)
def test_an_act_stands_already_when_it_was_said_and_done(
    rule: LinkRule, said: str | None, owner: str, stands: bool
) -> None:
    act = None if said is None else statement(EMAIL, CUSTOMER, said)
    assert stands_already(unlink(rule=rule), Ground(decision(EMAIL, owner), act)) == stands


class Clock:
    """Time that passes by sleeping only; `events` happen when it is reached."""

    def __init__(self, events: Mapping[float, Callable[[], object]]) -> None:
        self.time = 0.0
        self.events = dict(events)

    def now(self) -> float:
        return self.time

    def sleep(self, seconds: float) -> None:
        self.time += seconds
        for moment in [each for each in self.events if each <= self.time]:
            self.events.pop(moment)()


def wait(tables: Tables, clock: Clock, seconds: float = 30.0, former: Decision | None = None) -> Decision | None:
    return await_decision(tables.ask, unlink(), former, seconds, now=clock.now, sleep=clock.sleep)


def test_a_decision_counts_once_the_act_is_stored_and_it_is_a_new_one() -> None:
    former, new = decision(EMAIL), decision(EMAIL, "", "unlinked", decided_at=at(1))
    tables = Tables(former)

    def store() -> None:
        tables.stored = True

    def decide() -> None:
        tables.decisions[EMAIL] = new

    clock = Clock({2.0: store, 3.0: decide})
    assert wait(tables, clock, former=former) == new and 3.0 <= clock.time < 3.5


def test_a_decision_of_before_the_act_was_stored_is_not_taken_for_its_answer() -> None:
    former = decision(EMAIL)
    tables = Tables(replace(former, decided_at=at(1)))
    assert wait(tables, Clock({}), 5.0, former) is None


def test_where_the_decision_stays_as_it_was_it_holds_after_a_moment() -> None:
    former = decision(EMAIL)
    tables = Tables(former)
    tables.stored = True
    clock = Clock({})
    assert wait(tables, clock, former=former) == former and clock.time >= SETTLING_SECONDS


def test_without_a_worker_the_wait_ends() -> None:
    clock = Clock({})
    assert wait(Tables(), clock, 2.0) is None and 2.0 <= clock.time < 2.5
    assert wait(Tables(), Clock({}), 0.0) is None


@pytest.mark.parametrize("kind", [Transient, Terminal])
def test_when_the_answer_cannot_be_read_it_says_that_the_act_is_recorded(kind: type[Transient | Terminal]) -> None:
    def ask(sql: str, parameters: Mapping[str, Any]) -> Answer:
        raise kind("ClickHouse is away")

    with pytest.raises(kind, match="recorded in Kafka, but .*: ClickHouse is away"):
        await_decision(ask, unlink(), None, 1.0)


@pytest.mark.parametrize(
    ("rule", "owner", "status", "told", "fulfilled"),
    [
        ("unlinked", "", "unlinked", "no longer belongs to C-1, but to nobody (unlinked)", True),
        ("unlinked", SECOND, "linked", "no longer belongs to C-1, but to C-2 (linked)", True),
        ("unlinked", CUSTOMER, "linked", "still belongs to C-1 (linked)", False),
        ("relinked", CUSTOMER, "linked", "belongs to C-1 (linked)", True),
        ("relinked", "", "flagged", "does not belong to C-1, but to nobody (flagged)", False),
    ],
)
def test_what_it_came_to_is_one_line(rule: LinkRule, owner: str, status: str, told: str, fulfilled: bool) -> None:
    link, decided = unlink(rule=rule), decision(EMAIL, owner, status)
    assert result_line(link, decided) == f"{show_key(EMAIL)}: {told}"
    assert is_fulfilled(link, decided) == fulfilled
    assert "recorded in Kafka; no worker has decided yet" in result_line(link, None)

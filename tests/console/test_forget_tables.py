"""Which statements erase a customer: all of them, and none that names one."""

import re

from console.forgetting_letters import Letters
from console.forgetting_names import Needles
from console.forgetting_tables import BaseTable, Person, make_plan, uncovered

NEEDLES = Needles(("customer_id:CUST-0001", "email:hmac-sha256:k1:" + "ab" * 32), ("dana@example.com",))
PERSON = Person(NEEDLES, frozenset({"e-1"}), Letters((("touchpoints", 0, 7, 99),)), frozenset({"a-9"}))
TABLES = [
    BaseTable("journeys.alert_actions", {"episode_id": "Nullable(UUID)", "customer_id": "String"}),
    BaseTable("journeys.dead_letters", {"topic": "LowCardinality(String)", "raw": "String"}),
    BaseTable("journeys.dead_letter_replays", {"to_key": "String"}),
    BaseTable("journeys.touchpoints", {"customer_id": "String", "identifiers": "Map(String, String)"}),
    BaseTable("journeys.customer_state", {"customer_key": "LowCardinality(String)"}),
    BaseTable("journeys.facts", {"sku": "String"}),
    BaseTable("journeys.`odd", {"customer_id": "UInt64", "person": "String"}),
]


def test_no_statement_names_the_customer() -> None:
    parts = make_plan(TABLES, PERSON)
    texts = [text for part in parts for text in (part.find, *part.statements)]
    assert texts and not [text for text in texts if re.search("CUST-0001|abab|dana", text)]


def test_each_table_is_erased_by_what_ties_it_to_the_customer() -> None:
    erased = {(part.table.name, bool(part.taken_out)): " ".join(part.statements) for part in make_plan(TABLES, PERSON)}
    assert "episode_id IN ('e-1')" in erased["journeys.alert_actions", False]
    assert "hex(SHA256(customer_id))" in erased["journeys.alert_actions", False]
    assert "UPDATE note = '' WHERE action_id IN ('a-9')" in erased["journeys.alert_actions", True]
    assert "('touchpoints', 0, 7, 99)" in erased["journeys.dead_letters", False]
    assert "hex(SHA256(to_key))" in erased["journeys.dead_letter_replays", False]
    assert "('touchpoints', 0, 7, 99)" in erased["journeys.dead_letter_replays", False]
    assert "UPDATE identifiers" in erased["journeys.touchpoints", True]
    assert "hex(SHA256(customer_key))" in erased["journeys.customer_state", False]
    assert not [name for name, _ in erased if name in ("journeys.facts", "journeys.`odd")]


def test_nothing_is_erased_where_there_is_nothing_to_go_by() -> None:
    nobody = Person(Needles(()), frozenset(), Letters())
    statements = [text for part in make_plan(TABLES, nobody) for text in part.statements]
    assert statements == []


def test_a_long_list_of_identifiers_takes_several_statements() -> None:
    many = Person(Needles(tuple(f"anonymous_id:{number}" for number in range(2_500))), frozenset(), Letters())
    [part] = make_plan([TABLES[4]], many)
    assert len(part.statements) == 3 and max(map(len, part.statements)) < 100_000


def test_a_table_of_which_nothing_is_known_is_told() -> None:
    assert uncovered(TABLES) == ["journeys.`odd"]

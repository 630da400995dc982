"""What the receipt says, and when it says that all is well."""

import json

import pytest
from rich.console import Console

from console.forgetting_receipt import Alias, Beyond, Place, Receipt, list_beyond, show_receipt

KEY = "email:hmac-sha256:k1:" + "ab" * 32


def receipt(*places: Place, dry_run: bool = False, **left: int) -> Receipt:
    made = Receipt("r-1", "email:dana@example.com", "dpo", "2026-11-21T10:00:00.000Z", dry_run, [Alias.of(KEY)])
    made.tables = list(places)
    made.left = left
    return made


def shown(made: Receipt) -> str:
    console = Console(width=200, color_system=None)
    with console.capture() as captured:
        console.print(show_receipt(made))
    return captured.get()


@pytest.mark.parametrize(
    ("made", "is_clean", "told"),
    [
        (receipt(Place("journeys.alerts", 3, 3, 0)), True, "verified: nothing is left in 1 tables"),
        (receipt(Place("journeys.alerts", 3, 2, 1), alerts=1), False, "left: alerts: 1"),
        (receipt(Place("journeys.alerts", 3, 3, None)), False, "run the same command again"),
        (receipt(Place("journeys.alerts", 3), dry_run=True), False, "nothing was changed"),
        (receipt(Place("journeys.alerts", 0, 0, 0), dry_run=True), False, "nothing anywhere"),
    ],
)
def test_all_is_well_only_when_everything_was_read_again_and_is_empty(made: Receipt, is_clean: bool, told: str) -> None:
    assert made.is_clean == made.as_json()["clean"] == is_clean
    assert told in shown(made)


def test_identifiers_are_named_by_their_hashes() -> None:
    made = receipt(Place("journeys.alerts", 3, 3, 0))
    for text in (shown(made), json.dumps(made.as_json())):
        assert "ab" * 32 not in text and made.erased[0].sha256 in text and "dana@example.com" in text


def test_what_is_out_of_reach_is_told_with_its_end() -> None:
    found = {
        each.name: each for each in list_beyond({"touchpoints": 4}, {"system.query_log": None}, {"journeys.a": 2}, 1)
    }
    assert found["topic touchpoints"] == Beyond("topic touchpoints", "30 days after each record came", 4)
    assert found["topic touchpoints-rekeyed"].found is None
    assert found["topic dead-letters"].until.startswith("90 days")
    assert found["replaced files of journeys.a"].found == 2 and found["detached parts of ClickHouse"].found == 1
    assert "ClickHouse table system.query_log" in found
    assert any("identity-links, facts, friction-alerts, alert-actions" in name for name in found)
    assert "detached parts of ClickHouse" not in {each.name for each in list_beyond({}, {}, {}, 0)}

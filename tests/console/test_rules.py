"""`journeys rules`: what it lists, and what it says of good and bad files."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from console.rule_checks import Checked, check_rules
from schemas.errors import Misconfigured
from streams.rules.loading import LARGEST_BYTES
from tests.console.running import journeys, one_line

TEXTS = {"en": "Text", "he": "טקסט"}
RULE: dict[str, Any] = {
    "id": "slow_help",
    "version": 1,
    "severity": "warning",
    "title": TEXTS,
    "meaning": TEXTS,
    "why": "because",
    "reason": TEXTS,
    "advice": TEXTS,
    "wait": {"cases": [{"begins": "visit_started", "ends": ["purchased"], "match": ["store_id"], "longer_than": "1h"}]},
}
VISIT = {"at": "0s", "type": "visit_started", "store_id": "S-1"}
SCENARIO: dict[str, Any] = {
    "name": "a visit without a purchase",
    "touchpoints": [VISIT],
    "until": "2h",
    "expect": [{"opened": "1h 1ms"}],
}


@pytest.fixture
def own(tmp_path: Path) -> Path:
    """A directory with one good rule and its scenario."""
    put(tmp_path / "own", "slow_help.yaml", RULE)
    put(tmp_path / "own" / "scenarios", "slow_help.yaml", {"rule": "slow_help", "scenarios": [SCENARIO]})
    return tmp_path / "own"


def put(directory: Path, name: str, content: Any) -> Path:
    directory.mkdir(parents=True, exist_ok=True)
    path = directory / name
    path.write_text(content if isinstance(content, str) else yaml.safe_dump(content, sort_keys=False), "utf-8")
    return path


def check(*paths: Path, own: Path | None = None) -> list[Checked]:
    return list(check_rules(paths, own))


def faults(*paths: Path, own: Path | None = None) -> list[str]:
    return [fault for checked in check(*paths, own=own) for fault in checked.faults]


def test_a_directory_of_ones_own_is_checked_with_its_scenarios(own: Path) -> None:
    found = [(checked.kind, checked.detail, checked.scenarios) for checked in check(own)]
    assert found == [("rule", "slow_help v1", 0), ("scenarios", "1 of slow_help", 1)]


def test_a_rule_file_is_checked_with_its_own_scenarios(own: Path) -> None:
    put(own, "broken.yaml", "id: [")
    assert [checked.kind for checked in check(own / "slow_help.yaml")] == ["rule", "scenarios"]


@pytest.mark.parametrize("name", ["scenarios", "scenarios/slow_help.yaml"])
def test_scenarios_are_run_with_the_rules_beside_them(name: str, own: Path) -> None:
    (checked,) = check(own / name)
    assert (checked.kind, checked.scenarios, checked.faults) == ("scenarios", 1, ())


def test_a_scenario_file_anywhere_is_run_with_the_shipped_rules(tmp_path: Path) -> None:
    scenario = {**SCENARIO, "touchpoints": [{"at": "0s", "type": "gift_given", "kind": "note"}], "expect": [{}]}
    path = put(tmp_path, "mine.yaml", {"rule": "unexpected_gift", "scenarios": [scenario]})
    assert [(checked.kind, checked.faults) for checked in check(path)] == [("scenarios", ())]


def test_what_is_not_as_expected_is_told(own: Path) -> None:
    put(own / "scenarios", "slow_help.yaml", {"rule": "slow_help", "scenarios": [{**SCENARIO, "until": "30m"}]})
    assert faults(own) == ["9: a visit without a purchase: expected one episode, found nothing"]


def test_what_came_later_is_told_where_it_was_expected(own: Path) -> None:
    event = {**VISIT, "type": "queue_joined", "queue": "tills", "at": "5m"}
    later = {"later": [event], "expect_later": [{"status": "resolved"}]}
    text = yaml.safe_dump({"rule": "slow_help", "scenarios": [{**SCENARIO, **later}]}, sort_keys=False)
    path = put(own / "scenarios", "slow_help.yaml", text)
    line = next(number for number, each in enumerate(text.splitlines(), 1) if "expect_later" in each)
    assert faults(path)[0].startswith(f"{line}: a visit without a purchase: after what came later: ")


@pytest.mark.parametrize(
    ("rule", "mend"), [("slow_hlep", "did you mean slow_help?"), ("zzz", "known are broken_promise, channel_hopping,")]
)
def test_scenarios_of_an_unknown_rule_are_one_fault(rule: str, mend: str, own: Path) -> None:
    path = put(own / "scenarios", "other.yaml", {"scenarios": [SCENARIO, {**SCENARIO, "name": "2"}], "rule": rule})
    (fault,) = faults(path)
    line = len(path.read_text("utf-8").splitlines())
    assert fault.startswith(f"{line}: rule: there is no rule '{rule}' that is on; {mend}")


def test_a_file_that_might_be_a_rule_or_scenarios_is_told_what_makes_it_one(tmp_path: Path) -> None:
    assert faults(put(tmp_path, "mine.yaml", "rule: wismo\n")) == [
        "1: give `scenarios:` too, and it is a file of scenarios; a rule file has `id:`, not `rule:`"
    ]


def test_a_file_that_is_too_large_does_not_stop_the_others(own: Path) -> None:
    large = put(own.parent, "large.yaml", "#" * (LARGEST_BYTES + 1))
    found = check(large, own / "slow_help.yaml")
    assert [(checked.kind, bool(checked.faults)) for checked in found] == [
        ("rule", True),
        ("rule", False),
        ("scenarios", False),
    ]


def test_each_bad_file_is_told_and_none_stops_the_others(own: Path) -> None:
    put(own, "a.yaml", {**RULE, "id": "first", "severity": "loud"})
    put(own, "b.yaml", {**RULE, "id": "slow_help"})
    put(own, "c.yaml", {**RULE, "id": "third", "calendar": "nights"})
    put(own, "calendars.yaml", "nights:\n  zone: Mars\n  hours: {}\n")
    put(own / "scenarios", "z.yaml", "rule: slow_help\n")
    found = faults(own)
    starts = ("2: nights.", "3: severity: ", "19: calendar: there is no", "rule 'slow_help' stands in b.yaml", "1: ")
    assert len(found) == 5 and all(fault.startswith(start) for fault, start in zip(found, starts, strict=True))


def test_ones_own_version_of_a_shipped_rule_is_checked_by_its_own_scenarios_only(tmp_path: Path) -> None:
    put(tmp_path, "wait.yaml", {**RULE, "id": "long_wait"})
    found = check(own=tmp_path)
    assert [checked for checked in found if checked.faults] == []
    kinds = [checked.kind for checked in found]
    assert (kinds.count("calendars"), kinds.count("rule"), kinds.count("scenarios")) == (1, 28, 27)
    assert found[-1].detail == "long_wait v1, in place of the shipped one"


def test_a_directory_that_is_read_anyway_is_not_read_twice(own: Path) -> None:
    assert [checked.detail for checked in check(own, own=own)] == ["slow_help v1", "1 of slow_help"]


def test_what_lies_before_must_be_sound(own: Path, tmp_path: Path) -> None:
    broken = tmp_path / "broken"
    put(broken, "x.yaml", "id: [")
    with pytest.raises(Misconfigured, match=r"x\.yaml:1: not YAML"):
        check(own, own=broken)


def test_the_command_says_ok_and_counts(own: Path) -> None:
    done = journeys("rules", "check", "own", cwd=own.parent)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines() == [
        "ok    rule       own/slow_help.yaml  slow_help v1",
        "ok    scenarios  own/scenarios/slow_help.yaml  1 of slow_help",
        "1 rule, 1 scenario, 0 faults",
    ]


def test_the_command_fails_where_a_file_is_bad(own: Path) -> None:
    put(own, "slow_help.yaml", {**RULE, "severity": "warnig"})
    done = journeys("rules", "check", "own", "--json", cwd=own.parent)
    assert (done.returncode, done.stderr) == (1, "")
    found = json.loads(done.stdout)
    assert (found["ok"], found["rules"], found["scenarios"], found["faults"]) == (False, 1, 0, 2)
    assert found["files"][0]["faults"][0].startswith("3: severity: ")
    shown = journeys("rules", "check", "own", cwd=own.parent)
    assert shown.returncode == 1
    assert shown.stdout.startswith("fail  rule       own/slow_help.yaml:3: severity: ")


def test_a_path_that_is_not_there_is_one_line(tmp_path: Path) -> None:
    done = journeys("rules", "check", "absent.yaml", cwd=tmp_path)
    assert done.returncode == 1 and one_line(done.stderr) == "journeys: absent.yaml: no such file or directory"


def test_the_list_names_ones_own_rules_and_those_that_are_off(own: Path) -> None:
    put(own, "off.yaml", "id: wismo\nenabled: false\n")
    where = {"JOURNEYS_RULES_DIR": "own"}
    done = journeys("rules", "list", cwd=own.parent, changed=where)
    lines = {line.split()[0]: line for line in done.stdout.splitlines() if line.strip()}
    assert done.returncode == 0
    assert len(lines.keys() - {"rule"}) >= 28 and lines["slow_help"].split()[1:3] == ["friction", "warning"]
    assert "longer than 1h" in lines["slow_help"] and lines["slow_help"].split()[-2:] == ["1", "own/slow_help.yaml"]
    assert "off   own/off.yaml" in lines["wismo"]
    assert "warning, critical after 20m" in lines["long_wait"] and "shipped" in lines["long_wait"]
    listed = json.loads(journeys("rules", "list", "--json", cwd=own.parent, changed=where).stdout)
    assert {rule["id"]: rule["enabled"] for rule in listed}["wismo"] is False
    assert [rule["from"] for rule in listed if rule["from"] != "shipped"] == ["own/slow_help.yaml", "own/off.yaml"]


def test_a_broken_rule_of_ones_own_is_one_line(own: Path) -> None:
    put(own, "slow_help.yaml", {**RULE, "colour": "blue"})
    done = journeys("rules", "list", cwd=own.parent, changed={"JOURNEYS_RULES_DIR": "own"})
    assert done.returncode == 1 and done.stdout == ""
    assert one_line(done.stderr).startswith("journeys: own/slow_help.yaml:")


@pytest.mark.parametrize("command", [(), ("list",), ("check",)], ids=lambda each: " ".join(each))
def test_help_has_an_example(command: tuple[str, ...], tmp_path: Path) -> None:
    done = journeys("rules", *command, "--help", cwd=tmp_path)
    assert done.returncode == 0 and f"journeys rules {' '.join(command)}" in done.stdout.split("Examples:")[1]


def test_a_directory_without_rules_is_told_of(tmp_path: Path) -> None:
    done = journeys("rules", "check", str(tmp_path), cwd=tmp_path)
    assert done.returncode == 1 and f"no rule file, calendar or scenario in {tmp_path}" in one_line(done.stderr)

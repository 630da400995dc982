"""JSON over several lines: told once, never at the cost of a line that is an object by itself."""

import json
from typing import Any, NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from console.spread_objects import SpreadObjects
from schemas.errors import Undecodable
from schemas.wire import parse_object

OBJECTS = [{"event_id": f"e-{number}", "identifiers": {"customer_id": "C-1"}, "at": [{"x": 1}]} for number in range(4)]


class Followed(NamedTuple):
    """What became of an input: the objects that were taken, what was told by line number, what was not told."""

    taken: list[dict[str, Any]]
    told: dict[int, str]
    untold: int

    @property
    def refusals(self) -> int:
        return len(self.told) + self.untold


def follow(text: str) -> Followed:
    spread, taken, told = SpreadObjects(), [], {}
    for number, line in enumerate(text.encode().splitlines(keepends=True), 1):
        if not line.strip() or spread.goes_on(line):
            continue
        try:
            taken.append(parse_object(line.rstrip(b"\r\n")))
        except Undecodable as error:
            judged = spread.judge(line, error)
            if judged is not None:
                told[number] = str(judged)
    return Followed(taken, told, spread.untold)


@pytest.mark.parametrize("indent", [1, 4, "\t"])
def test_objects_over_several_lines_are_told_once_and_counted_each(indent: int | str) -> None:
    found = follow("\n\n".join(json.dumps(each, indent=indent) for each in OBJECTS))
    assert found.taken == [] and found.untold == len(OBJECTS) - 1 and list(found.told) == [1]
    assert found.told[1].startswith("invalid_json: an object that does not end on its line: one object a line")
    assert "`jq -c . FILE | journeys emit`" in found.told[1]


def test_objects_without_indentation_are_told_once_too() -> None:
    found = follow("\n".join(json.dumps({**each, "at": None}, indent=0) for each in OBJECTS))
    assert found.taken == [] and found.untold == len(OBJECTS) - 1 and list(found.told) == [1]


@pytest.mark.parametrize(
    "text",
    [
        json.dumps(OBJECTS, indent=2),
        "[" + ",\n".join(map(json.dumps, OBJECTS)) + "]",
        "[\n" + ",\n".join(map(json.dumps, OBJECTS)) + "]\n",
        "[\n" + ",\n ".join(map(json.dumps, OBJECTS)) + " ] \n",
    ],
    ids=["indented", "a line each", "brackets apart", "blanks"],
)
def test_a_list_is_one_refusal_with_advice_of_its_own(text: str) -> None:
    found = follow(text)
    assert found.taken == [] and found.untold == 0 and list(found.told) == [1]
    assert "a list that does not end on its line" in found.told[1] and "`jq -c '.[]' FILE" in found.told[1]


def test_the_last_object_of_a_list_stands_alone_where_no_bracket_follows_and_is_taken() -> None:
    found = follow("[\n" + ",\n".join(map(json.dumps, OBJECTS)) + "\n]\n")
    assert found.taken == OBJECTS[-1:] and list(found.told)[:1] == [1]


def test_lines_that_end_with_a_comma_are_told_each_where_no_list_is_open() -> None:
    lines = [json.dumps(each) + "," for each in OBJECTS]
    found = follow("\n".join(['{"event_id": "cut of', *lines]))
    assert list(found.told) == [1, 2, 3, 4, 5] and "trailing characters" in found.told[2]


def test_a_line_that_was_cut_off_costs_its_neighbours_nothing() -> None:
    whole = list(map(json.dumps, OBJECTS))
    found = follow("\n".join([whole[0], whole[1][:20], whole[2], whole[3][:25], "   " + whole[3]]))
    assert found.taken == [OBJECTS[0], OBJECTS[2], OBJECTS[3]]
    assert list(found.told) == [2, 4] and found.untold == 0


def test_other_errors_are_told_as_they_are() -> None:
    found = follow('nonsense\n[1]\n{"a": NaN}\n  "a": 1,\n}\n')
    reasons = [told.split(":")[0] for told in found.told.values()]
    assert reasons == ["invalid_json", "not_an_object", *["invalid_json"] * 3]
    assert "jq" not in "".join(found.told.values())


GOOD = st.sampled_from(OBJECTS).map(json.dumps)
BLOCKS = st.lists(
    st.tuples(st.just("good"), GOOD | GOOD.map(lambda line: f"  {line}\t"))
    | st.tuples(st.just("spread"), st.builds(json.dumps, st.sampled_from(OBJECTS), indent=st.sampled_from((1, 2))))
    | st.tuples(st.just("cut"), st.builds(lambda line, at: line[:at], GOOD, st.integers(1, 30)))
    | st.tuples(st.just("nonsense"), st.sampled_from(("nonsense", "}{", "7"))),
    max_size=12,
)


@given(BLOCKS, st.sampled_from(("\n", "\r\n", "\n\n")))
def test_every_line_that_is_an_object_is_taken_and_everything_else_counts_once(
    blocks: list[tuple[str, str]], end: str
) -> None:
    found = follow("".join(text + end for _, text in blocks))
    assert found.taken == [json.loads(text) for kind, text in blocks if kind == "good"]
    assert found.refusals == sum(1 for kind, _ in blocks if kind != "good")

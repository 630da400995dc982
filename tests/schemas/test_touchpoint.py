import pytest
from pydantic import ValidationError

from schemas.catalogue import CATALOGUE, TouchpointType
from schemas.errors import Undecodable
from schemas.examples import example_touchpoint
from schemas.touchpoint import Touchpoint, touchpoint_adapter
from schemas.wire import check_touchpoint

NAMES = [entry.name for entry in CATALOGUE]
WITH_REQUIRED = [
    (entry, name) for entry in CATALOGUE for name, field in entry.properties.model_fields.items() if field.is_required()
]


@pytest.mark.parametrize("entry", CATALOGUE, ids=NAMES)
def test_every_catalogued_type_accepts_its_example_with_typed_properties(entry: TouchpointType) -> None:
    touchpoint = check_touchpoint(example_touchpoint(entry))
    assert type(touchpoint.properties) is entry.properties and touchpoint.type == entry.name


@pytest.mark.parametrize(("entry", "name"), WITH_REQUIRED, ids=[f"{e.name}.{name}" for e, name in WITH_REQUIRED])
@pytest.mark.parametrize("wrong", ["missing", None, [], {"a": 1}], ids=repr)
def test_every_required_property_is_needed_in_its_type(entry: TouchpointType, name: str, wrong: object) -> None:
    touchpoint = example_touchpoint(entry)
    touchpoint["properties"][name] = wrong
    if wrong == "missing":
        del touchpoint["properties"][name]
    with pytest.raises(Undecodable, match=f"invalid_property: properties.{name}: "):
        check_touchpoint(touchpoint)


@pytest.mark.parametrize(
    ("name", "wrong"),
    [("amount", "12"), ("amount", True), ("currency", "shekel"), ("currency", "ils"), ("promised_by", "2026-11-24"),
     ("promised_by", "2026-11-24T10:00:00"), ("promised_by", 5)],
)  # fmt: skip
def test_properties_are_strict(name: str, wrong: object) -> None:
    touchpoint = example_touchpoint(CATALOGUE[NAMES.index("order_placed")])
    touchpoint["properties"][name] = wrong
    with pytest.raises(Undecodable, match=f"invalid_property: properties.{name}: "):
        check_touchpoint(touchpoint)


def test_a_whole_number_is_a_number_and_extra_properties_are_kept() -> None:
    touchpoint = example_touchpoint(CATALOGUE[NAMES.index("order_placed")])
    touchpoint["properties"] |= {"amount": 12, "coupon": {"code": "X", "tries": [1, None]}}
    found = check_touchpoint(touchpoint).properties.model_dump()
    assert found["amount"] == 12.0 and found["coupon"] == {"code": "X", "tries": [1, None]}


def test_an_unlisted_type_is_kept_with_whatever_it_carries() -> None:
    found = check_touchpoint({**example_touchpoint(CATALOGUE[0]), "type": "kiosk.tapped_2", "properties": {"x": [1]}})
    assert type(found) is Touchpoint and found.properties.model_dump() == {"x": [1]}


def test_a_type_without_required_properties_needs_none() -> None:
    touchpoint = example_touchpoint(CATALOGUE[NAMES.index("out_for_delivery")])
    del touchpoint["properties"]
    assert check_touchpoint(touchpoint).properties.model_dump() == {}


@pytest.mark.parametrize("name", ["Page", "1page", "page viewed", "", "x" * 65, "page\n", "דף"])
def test_a_type_is_a_plain_short_name(name: str) -> None:
    with pytest.raises(Undecodable, match="invalid_field: type: "):
        check_touchpoint({**example_touchpoint(CATALOGUE[0]), "type": name})


def test_any_type_may_come_from_any_source() -> None:
    assert check_touchpoint({**example_touchpoint(CATALOGUE[0]), "source": "feedback"}).source == "feedback"


def test_a_touchpoint_does_not_change() -> None:
    touchpoint = touchpoint_adapter().validate_python(example_touchpoint(CATALOGUE[0]))
    with pytest.raises(ValidationError, match="frozen"):
        touchpoint.event_id = "other"

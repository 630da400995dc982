import json
from pathlib import Path

import pytest

from schemas.catalogue import CATALOGUE
from schemas.export import exports
from schemas.json_schema import touchpoint_schema
from schemas.reference import ENVELOPE
from schemas.topics import TOPICS, configuration_of
from schemas.touchpoint import Touchpoint


@pytest.mark.parametrize("path", exports(), ids=lambda path: path.name)
def test_generated_files_are_up_to_date(path: Path) -> None:
    assert path.read_text("utf-8") == exports()[path], "run `python -m schemas.export`"


def test_the_schema_states_every_type_and_what_it_needs() -> None:
    schema = json.loads(json.dumps(touchpoint_schema()))
    stated = {rule["if"]["properties"]["type"]["const"]: rule["then"] for rule in schema["allOf"]}
    for entry in CATALOGUE:
        required = [name for name, field in entry.properties.model_fields.items() if field.is_required()]
        if required:
            name = stated[entry.name]["properties"]["properties"]["$ref"].removeprefix("#/$defs/")
            assert schema["$defs"][name]["required"] == required and stated[entry.name]["required"] == ["properties"]


def test_the_page_describes_every_field_of_the_envelope() -> None:
    assert list(ENVELOPE) == list(Touchpoint.model_fields)


def test_each_topic_states_how_long_it_keeps_records() -> None:
    settings = {topic.name: configuration_of(topic) for topic in TOPICS}
    assert settings["touchpoints"] == {"cleanup.policy": "delete", "retention.ms": "2592000000"}
    assert settings["friction-alerts"] == {"cleanup.policy": "compact", "retention.ms": "-1"}

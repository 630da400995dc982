from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from console.settings_view import MASK, describe_fault, format_duration, view_settings
from schemas.durations import parse_duration
from schemas.settings import Settings

SECRET = "clickhouse://journeys:hunter2@db:9000/"


def make(**given_settings: Any) -> Settings:
    return Settings(**given_settings)


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_each_setting_says_where_it_came_from_and_no_secret_is_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    environment = {"KAFKA": "k:9092", "journeys_clickhouse": SECRET, "JOURNEYS_PARTITIONS": "8"}
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    Path("journeys.toml").write_text('journey_gap = "30m"\n', "utf-8")
    views = view_settings(make(data_dir=Path("x")), environment, {"journey_gap": "30m"}, frozenset({"data_dir"}))
    found = {view.name: (view.value, view.source) for view in views}
    assert found["kafka"] == ("k:9092", "environment KAFKA")
    assert found["clickhouse"] == (MASK, "environment journeys_clickhouse")
    assert found["partitions"] == ("8", "environment JOURNEYS_PARTITIONS")
    assert found["journey_gap"] == ("30m", "journeys.toml")
    assert found["data_dir"] == ("x", "command line")
    assert found["journey_max_gap"] == ("90d", "default")
    assert found["kafka_password"] == ("-", "default")
    assert len(views) == len(Settings.model_fields) and "hunter2" not in str(views)


def test_keys_of_before_are_shown_by_name_and_masked() -> None:
    keys = {"k0": "hunter2", "k9": "hunter3"}
    shown = {view.name: view.value for view in view_settings(make(identifier_previous_keys=keys), {}, {})}
    assert shown["identifier_previous_keys"] == f'{{"k0": "{MASK}", "k9": "{MASK}"}}'


@given(
    st.timedeltas(timedelta(milliseconds=1), timedelta(days=900)).map(lambda each: each - each % timedelta(0, 0, 1000))
)
def test_durations_are_written_as_they_are_read(duration: timedelta) -> None:
    assert parse_duration(format_duration(duration)) == duration


@pytest.mark.parametrize(
    ("given_settings", "told"),
    [
        ({"partitions": 0}, "JOURNEYS_PARTITIONS=0: input should be greater than or equal to 1"),
        ({"journey_gap": "soon"}, "JOURNEYS_JOURNEY_GAP=soon: "),
        ({"identifier_previous_keys": {"K 0": "hunter2"}}, "settings: identifier_previous_keys: 'K 0' is no name"),
        ({"identifier_previous_keys": {"k1": "hunter2"}}, "settings: identifier_previous_keys: 'k1' is the name of"),
        ({"identifier_previous_keys": {"k0": ""}}, "settings: identifier_previous_keys: the key 'k0' is empty"),
        ({"journey_max_gap": "1s"}, "settings: journey_max_gap must not be shorter than journey_gap"),
    ],
)
def test_a_bad_setting_is_one_line_that_names_it(given_settings: dict[str, object], told: str) -> None:
    with pytest.raises(ValidationError) as refused:
        make(**given_settings)
    line = describe_fault(refused.value)
    assert line.startswith(told) and "\n" not in line and "hunter2" not in line


def test_a_bad_secret_is_not_quoted() -> None:
    with pytest.raises(ValidationError) as refused:
        make(identifier_key=["hunter2"])
    assert "hunter2" not in describe_fault(refused.value)


def test_no_error_about_settings_quotes_a_secret() -> None:
    with pytest.raises(ValidationError) as refused:
        make(identifier_key="hunter2", journey_max_gap="1s")
    assert "hunter2" not in str(refused.value)

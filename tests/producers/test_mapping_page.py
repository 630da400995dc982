"""`docs/mappings.md`: its tables are those of the model, and its examples give what it says."""

import json
import re
from pathlib import Path
from typing import Any, get_args

import pytest
import yaml
from pydantic import BaseModel

from producers.client import Client
from producers.emitters import MemoryEmitter
from producers.history_files import cut, read_rows
from producers.mapped_rows import compile_rule
from producers.mapping import EPOCH_UNITS_MS, FIELDS, Mapping, Rule, ValueType, load_mapping, parse_mapping
from producers.replay import ReplayOptions, replay_file
from schemas.errors import Misconfigured
from schemas.identifiers import Pseudonymiser

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "mappings.md").read_text("utf-8")
EXAMPLES = re.findall(r"<!-- rows: (\S+) -->", PAGE)
NO_DEFAULT = {"-", "by the file's name", "by the field", "needed"}


def block(name: str) -> str:
    """The fenced block behind a mark of the page."""
    found = re.search(rf"<!-- {re.escape(name)} -->\n```\w*\n(.*?)```", PAGE, re.DOTALL)
    assert found is not None, name
    return found[1]


def table(name: str) -> list[list[str]]:
    """The cells of the table behind a mark of the page, without its head."""
    found = re.search(rf"<!-- {re.escape(name)} -->\n((?:\|.*\n)+)", PAGE)
    assert found is not None, name
    return [[cell.strip() for cell in row[1:-2].split(" | ")] for row in found[1].splitlines()[2:]]


def files(name: str, directory: Path) -> tuple[Path, Mapping]:
    rows, mapping = directory / name, directory / "mapping.yaml"
    rows.write_text(block(f"rows: {name}"), "utf-8")
    mapping.write_text(block(f"mapping: {name}"), "utf-8")
    return rows, load_mapping(mapping)


def test_there_are_two_examples() -> None:
    assert EXAMPLES == ["tills.csv", "desk.ndjson"]


@pytest.mark.parametrize("name", EXAMPLES)
def test_an_example_becomes_the_touchpoints_that_are_shown(name: str, tmp_path: Path) -> None:
    rows, mapping = files(name, tmp_path)
    [piece] = cut([rows], mapping)
    mapped = [row.touchpoint for batch in read_rows(piece, mapping, 100) for row in batch if row.fault is None]
    shown = [json.loads(line) for line in block(f"touchpoints: {name}").splitlines()]
    assert mapped[: len(shown)] == shown


@pytest.mark.parametrize("name", EXAMPLES)
def test_an_example_is_delivered_skipped_and_rejected_as_it_says(name: str, tmp_path: Path) -> None:
    rows, mapping = files(name, tmp_path)
    with Client(MemoryEmitter(), Pseudonymiser(b"key", "k1", "IL")) as client:
        done = replay_file(rows, client, mapping, ReplayOptions(state_dir=tmp_path))
    assert done.rejected_file is not None
    rejected = [json.loads(line) for line in done.rejected_file.read_text("utf-8").splitlines()]
    assert [[str(each["line"]), f"`{each['reason']}`", each["detail"]] for each in rejected] == table(
        f"rejected: {name}"
    )
    assert (done.delivered, done.skipped) == (2, 1 if name == "tills.csv" else 0)


@pytest.mark.parametrize("model", [Mapping, Rule])
def test_the_table_of_keys_is_that_of_the_model(model: type[BaseModel]) -> None:
    shown = {
        key.strip("`"): (values, default, meaning) for key, values, default, meaning in table(f"keys: {model.__name__}")
    }
    fields = {field.alias or name: field for name, field in model.model_fields.items()}
    assert list(shown) == list(fields)
    for name, field in fields.items():
        values, default, meaning = shown[name]
        assert meaning == field.description, name
        known = field.default not in (None, ...) and not field.is_required()
        assert default == f"`{field.default}`" if known else default in NO_DEFAULT, name
        assert set(literals(field.annotation)) <= set(re.findall(r"`([^`]+)`", values)), name


def literals(annotation: Any) -> list[str]:
    """The texts of which one may stand there."""
    parts = get_args(annotation)
    return [part for part in parts if isinstance(part, str)] + [
        text for part in parts if not isinstance(part, str) for text in literals(part)
    ]


def test_the_page_names_every_field_type_and_format() -> None:
    fields = PAGE.partition("<!-- fields -->\n")[2].partition("\n\n")[0]
    assert sorted(re.findall(r"`([^`]+)`", fields)) == sorted(FIELDS)
    told = PAGE.partition("## Rules")[2]
    assert all(f"`{name}`" in told for name in (*get_args(ValueType), "iso", *EPOCH_UNITS_MS))


SOUND = dict.fromkeys(("event_id", "source", "type", "occurred_at", "identifiers.email"), "x")
REFUSED = [(mistake.strip("`"), said) for mistake, said in table("refused")]


def complete(mistake: str) -> str:
    """A mapping that is sound but for the mistake. One that names an event_id is meant to lack something."""
    given = yaml.safe_load(mistake)
    fields = given.get("fields", {})
    return yaml.safe_dump(given if "event_id" in fields else {**given, "fields": {**SOUND, **fields}})


@pytest.mark.parametrize(("mistake", "said"), REFUSED, ids=[mistake for mistake, _ in REFUSED])
def test_a_mistake_is_refused_in_the_words_that_are_shown(mistake: str, said: str) -> None:
    with pytest.raises(Misconfigured) as refused:
        parse_mapping(complete(mistake), "m.yaml")
    place, _, told = str(refused.value).partition(": ")
    assert re.fullmatch(r"m\.yaml:\d+", place) and told.startswith(said.removesuffix("…"))


FORMS = [
    (re.findall(r"`([^`]+)`", form)[0], text)
    for form, texts in table("formats")
    for text in re.findall(r"`([^`]+)`", texts)
]


@pytest.mark.parametrize(("form", "text"), FORMS)
def test_a_format_reads_what_is_shown(form: str, text: str) -> None:
    rule = Rule.model_validate({"column": "at", "format": form})
    assert compile_rule(rule, "occurred_at", "Asia/Jerusalem")({"at": text}, 1).startswith("2026-11-2")


@pytest.mark.parametrize(
    ("text", "moment"), [("2026-10-25 01:30", "2026-10-24T22:30"), ("2026-03-27 02:30", "2026-03-27T00:30")]
)
def test_hours_that_come_twice_or_not_at_all_are_read_as_the_page_says(text: str, moment: str) -> None:
    rule = Rule.model_validate({"column": "at"})
    assert compile_rule(rule, "occurred_at", "Asia/Jerusalem")({"at": text}, 1) == f"{moment}:00.000Z"

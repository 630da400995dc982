"""The data dictionary is what the database says, and the database says something of everything."""

import re

import pytest

from console.data_dictionary import (
    PATH,
    SOURCES_PATH,
    Relation,
    describe_fresh,
    find_parameters,
    render,
    render_sources,
)


@pytest.fixture(scope="module")
def relations() -> list[Relation]:
    return describe_fresh()


@pytest.fixture
def page(relations: list[Relation]) -> str:
    return render(relations)


@pytest.mark.integration
def test_the_files_are_what_the_migrated_database_says(relations: list[Relation], page: str) -> None:
    assert PATH.read_text("utf-8") == page, "run `python -m console.data_dictionary`"
    assert SOURCES_PATH.read_text("utf-8") == render_sources(relations)


@pytest.mark.integration
def test_every_table_view_and_column_is_explained(page: str) -> None:
    unexplained = re.findall(r"^### (\S+)\n\n\n|^(\| `\w+` \|(?: `[^|]*` \|)? +\|)$", page, re.M)
    assert unexplained == []


def test_parameters_are_told_in_the_order_of_their_first_use() -> None:
    sql = "SELECT {until:DateTime64(3)}, {steps:Array(String)} WHERE at < {until:DateTime64(3)} AND {n: UInt8}"
    assert find_parameters(sql) == ("until DateTime64(3)", "steps Array(String)", "n UInt8")

"""The data dictionary is what the database says, and the database says something of everything."""

import re

import pytest

from console.data_dictionary import PATH, describe_fresh, find_parameters


@pytest.fixture(scope="module")
def page() -> str:
    return describe_fresh()


@pytest.mark.integration
def test_the_page_is_what_the_migrated_database_says(page: str) -> None:
    assert PATH.read_text("utf-8") == page, "run `python -m console.data_dictionary`"


@pytest.mark.integration
def test_every_table_view_and_column_is_explained(page: str) -> None:
    unexplained = re.findall(r"^### (\S+)\n\n\n|^(\| `\w+` \|(?: `[^|]*` \|)? +\|)$", page, re.M)
    assert unexplained == []


def test_parameters_are_told_in_the_order_of_their_first_use() -> None:
    sql = "SELECT {until:DateTime64(3)}, {steps:Array(String)} WHERE at < {until:DateTime64(3)} AND {n: UInt8}"
    assert find_parameters(sql) == ("until DateTime64(3)", "steps Array(String)", "n UInt8")

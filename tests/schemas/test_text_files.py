from pathlib import Path

import pytest

from schemas.errors import Misconfigured
from schemas.text_files import read_text


def test_the_text_of_a_file_comes_without_a_byte_order_mark(tmp_path: Path) -> None:
    (tmp_path / "a.sql").write_text("SELECT 'é'", "utf-8-sig")
    assert read_text(tmp_path / "a.sql") == "SELECT 'é'"


def test_what_cannot_be_read_is_told_without_the_words_of_the_system(tmp_path: Path) -> None:
    (tmp_path / "latin.yaml").write_bytes(b"na\xefve")
    told = {
        "none.yaml": f"no such file: {tmp_path / 'none.yaml'}",
        ".": f"{tmp_path}: cannot be read: Is a directory",
        "latin.yaml": f"{tmp_path / 'latin.yaml'}: byte 2 is not UTF-8: save the file as UTF-8",
    }
    for name, line in told.items():
        with pytest.raises(Misconfigured) as refused:
            read_text(tmp_path / name)
        assert str(refused.value) == line

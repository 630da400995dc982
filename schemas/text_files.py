"""Files that people write: their text, or one line that says why it cannot be read."""

from __future__ import annotations

from pathlib import Path

from schemas.errors import Misconfigured


def read_text(path: Path) -> str:
    """The text of a file in UTF-8, without a byte-order mark. Raises `Misconfigured`."""
    try:
        return path.read_text("utf-8-sig")
    except FileNotFoundError as error:
        raise Misconfigured(f"no such file: {path}") from error
    except OSError as error:
        raise Misconfigured(f"{path}: cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise Misconfigured(f"{path}: byte {error.start} is not UTF-8: save the file as UTF-8") from error

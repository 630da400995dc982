"""Passwords of the local ClickHouse users: generated once, kept in a file that only its owner can read."""

from __future__ import annotations

import json
import os
import secrets
from pathlib import Path

from schemas.errors import Misconfigured

FILE_NAME = "secrets.json"


def load_or_create_passwords(directory: Path, users: tuple[str, ...]) -> dict[str, str]:
    """Return one password per user; create those that are missing. Raises `Misconfigured` on an unusable file."""
    path = directory / FILE_NAME
    known = load_passwords(directory) if path.exists() else {}
    passwords = {user: known.get(user) or secrets.token_urlsafe(24) for user in users}
    if passwords != known:
        write_private(path, json.dumps(passwords, indent=2) + "\n")
    return passwords


def load_passwords(directory: Path) -> dict[str, str]:
    """Read the passwords by user. Raises `Misconfigured` when the file is missing, unreadable or no JSON object."""
    path = directory / FILE_NAME
    try:
        passwords = json.loads(path.read_text("utf-8"))
    except OSError as error:
        raise Misconfigured(f"cannot read the local passwords in {path}: {error.strerror}") from error
    except ValueError as error:
        raise Misconfigured(f"{path} is no JSON: delete it and start the local stack anew") from error
    if not isinstance(passwords, dict) or not all(isinstance(value, str) for value in passwords.values()):
        raise Misconfigured(f"{path} must map users to passwords: delete it and start the local stack anew")
    return passwords


def write_private(path: Path, text: str) -> None:
    """Replace a file at once, readable and writable by its owner only, and durably."""
    temporary = path.with_name(path.name + ".new")
    temporary.unlink(missing_ok=True)
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)

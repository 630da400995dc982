"""Settings as people look at them: name, value without secrets, where it came from; and what is wrong with one."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from pydantic import SecretStr, ValidationError
from pydantic.fields import FieldInfo

from schemas.settings import Settings

MASK = "**********"
ALIASED = ("kafka", "clickhouse")
UNITS = (("w", 604_800), ("d", 86_400), ("h", 3_600), ("m", 60), ("s", 1))


@dataclass(frozen=True)
class SettingView:
    """One setting. `source` is `default`, `command line`, `environment NAME` or `journeys.toml`."""

    name: str
    variable: str
    value: str
    source: str
    meaning: str


def view_settings(
    settings: Settings, environment: Mapping[str, str], in_file: Mapping[str, Any], given: frozenset[str] = frozenset()
) -> list[SettingView]:
    """Describe each setting. `in_file` is what `journeys.toml` says, `given` what the command line did."""
    lowered = {name.lower(): name for name in environment}
    return [
        SettingView(
            name,
            variable(name),
            show_value(getattr(settings, name)),
            _source(name, lowered, in_file, given),
            field.description or "",
        )
        for name, field in _fields().items()
    ]


def variable(name: str) -> str:
    """The environment variable of a setting."""
    return f"JOURNEYS_{name.upper()}"


def show_value(value: Any) -> str:
    """A setting's value as it would be written, a secret as a mask of constant length."""
    if value is None:
        return "-"
    if isinstance(value, SecretStr):
        return MASK if value.get_secret_value() else "-"
    if isinstance(value, dict):
        return json.dumps({name: _mask(each) for name, each in value.items()}, ensure_ascii=False)
    if isinstance(value, list):
        return json.dumps(value, ensure_ascii=False)
    if isinstance(value, timedelta):
        return format_duration(value)
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)


def _mask(value: Any) -> Any:
    return MASK if isinstance(value, SecretStr) else value


def format_duration(duration: timedelta) -> str:
    """The shortest form that settings accept: `14d`, `90s`, `1h30m`."""
    milliseconds = duration // timedelta(milliseconds=1)
    seconds, rest = divmod(milliseconds, 1000)
    parts = []
    for unit, size in UNITS[1:]:
        count, seconds = divmod(seconds, size)
        parts += [f"{count}{unit}"] if count else []
    parts += [f"{rest}ms"] if rest else []
    return "".join(parts) or "0s"


def describe_fault(error: ValidationError) -> str:
    """One line that names the setting and what it must be; the value itself is not quoted if it is a secret."""
    first = error.errors(include_url=False)[0]
    message = first["msg"].removeprefix("Value error, ")
    message = f"{message[:1].lower()}{message[1:]}"
    if not first["loc"]:
        return f"settings: {message}"
    name = str(first["loc"][0]).lower().removeprefix("journeys_")
    field = _fields().get(name)
    quoted = "" if field is None or _is_secret(field) else f"={first['input']}"
    more = len(error.errors()) - 1
    return f"{variable(name)}{quoted}: {message}" + (f" (and {more} more)" if more else "")


def _fields() -> dict[str, FieldInfo]:
    return Settings.model_fields


def _is_secret(field: FieldInfo) -> bool:
    return "SecretStr" in str(field.annotation)


def _source(name: str, environment: Mapping[str, str], in_file: Mapping[str, Any], given: frozenset[str]) -> str:
    if name in given:
        return "command line"
    for candidate in (variable(name), name.upper()) if name in ALIASED else (variable(name),):
        if candidate.lower() in environment:
            return f"environment {environment[candidate.lower()]}"
    return "journeys.toml" if name in in_file or variable(name) in in_file else "default"

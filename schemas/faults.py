"""What pydantic finds wrong, in words that say what to write; and faults that know where in a mapping they stand."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from difflib import get_close_matches
from typing import Any

from pydantic_core import ErrorDetails

_LIKELY = 0.7
"""How much a word must look like a known one to be taken for it, where all that are known stand beside it anyway."""


class FaultAt(ValueError):
    """What a validator of several keys finds wrong. `place` leads from its model to the key that has to be mended."""

    def __init__(self, message: str, *place: int | str) -> None:
        super().__init__(message)
        self.place = place


def place_of(fault: ErrorDetails) -> tuple[int | str, ...]:
    """Where a fault stands, as exactly as it is known."""
    error = fault.get("ctx", {}).get("error")
    return (*fault["loc"], *(error.place if isinstance(error, FaultAt) else ()))


def tell_plainly(fault: ErrorDetails) -> str:
    """What to write instead, on one line, without the place."""
    words = _WORDS.get(fault["type"])
    if words is not None:
        return words(fault.get("ctx", {}), fault["input"])
    message = " ".join(fault["msg"].removeprefix("Value error, ").split())
    return re.sub(r"^Input should (be|have) ", lambda found: f"should {found[1]} ", message)


def _tell_choices(context: Mapping[str, Any], found: Any) -> str:
    expected = str(context["expected"])
    # What is no text stands there without quotes: False.
    known = re.findall(r"'([^']*)'", expected) or [expected.lower()]
    near = get_close_matches(str(found), known, n=1, cutoff=_LIKELY)
    return f"write {' or '.join(known)}{f'; did you mean {near[0]}?' if near else ''}"


def _tell_least(context: Mapping[str, Any], _: Any) -> str:
    least = context["ge"]
    if isinstance(least, int | float):
        return f"write a number of at least {least}"
    return "write a time longer than 0s, such as 90s or 10m"


def _tell_text(_: Mapping[str, Any], found: Any) -> str:
    is_plain = isinstance(found, int | float) and not isinstance(found, bool)
    return f'write a text; in quotes a number is one, "{found}"' if is_plain else "write a text"


def _tell_entries(context: Mapping[str, Any], _: Any) -> str:
    least = context["min_length"]
    return "give at least one, such as [a]" if least == 1 else f"give at least {least}"


def _always(words: str) -> Callable[[Mapping[str, Any], Any], str]:
    return lambda context, found: words.format(**context)


_A_LIST = _always("write a list, such as [a, b], or a line that begins with - for each")
_WHOLE = _always("write a whole number")
_NUMBER = _always("write a number")
_TRUTH = _always("write true or false")
_TIME = _always("write a time as 90s, 30m, 12h or 14d")
_WORDS: dict[str, Callable[[Mapping[str, Any], Any], str]] = {
    "missing": _always("it is missing"),
    "literal_error": _tell_choices,
    "greater_than_equal": _tell_least,
    "greater_than": _always("write a number above {gt}"),
    "less_than_equal": _always("write a number of at most {le}"),
    "less_than": _always("write a number below {lt}"),
    "string_type": _tell_text,
    "string_too_short": _always("write a text of at least {min_length} characters; an empty one says nothing"),
    "string_too_long": _always("write a text of at most {max_length} characters"),
    "too_short": _tell_entries,
    "too_long": _always("give at most {max_length}"),
    "tuple_type": _A_LIST,
    "list_type": _A_LIST,
    "set_type": _A_LIST,
    "frozen_set_type": _A_LIST,
    "dict_type": _always("write keys with their values"),
    "int_type": _WHOLE,
    "int_parsing": _WHOLE,
    "int_from_float": _WHOLE,
    "float_type": _NUMBER,
    "float_parsing": _NUMBER,
    "finite_number": _NUMBER,
    "bool_type": _TRUTH,
    "bool_parsing": _TRUTH,
    "time_delta_type": _TIME,
    "time_delta_parsing": _TIME,
}

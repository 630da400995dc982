"""JSON that goes over several lines where one object a line is expected: noticed once, and not line by line."""

from __future__ import annotations

from schemas.errors import Undecodable
from schemas.wire import parse_object

CUT_OFF = "Input data was truncated"
CLOSERS = frozenset({b"}", b"]", b"},", b"],", b"}]", b"}],"})
ONE_A_LINE = "one object a line is expected"


class SpreadObjects:
    """Follows the lines of one input. A line that is an object by itself is never taken for a part of another."""

    def __init__(self) -> None:
        self._is_open = False
        self._is_list = False
        self._is_proven = False
        self.untold = 0

    def goes_on(self, line: bytes) -> bool:
        """Whether a line that is not blank only carries on the object that the line before did not end."""
        if not self._is_open:
            return False
        self._is_open = _carries_on(line) or (self._is_list and _is_element(line))
        self._is_proven = self._is_proven or self._is_open
        return self._is_open

    def judge(self, line: bytes, error: Undecodable) -> Undecodable | None:
        """The error to tell of a refused line: with advice if its object has no end; None when that has been said.

        What is not told is counted in `untold`.
        """
        if error.reason != "invalid_json" or error.detail != CUT_OFF:
            return error
        self._is_open = True
        self._is_list = line.lstrip().startswith(b"[")
        if self._is_proven:
            self.untold += 1
            return None
        kind, program = ("a list", "'.[]'") if self._is_list else ("an object", ".")
        return Undecodable(
            error.reason,
            f"{kind} that does not end on its line: {ONE_A_LINE}; `jq -c {program} FILE | journeys emit` makes it so",
        )


def _carries_on(line: bytes) -> bool:
    stripped = line.strip()
    if stripped.startswith(b"{") and _is_object(stripped):
        return False
    return line[:1] in (b" ", b"\t", b'"') or stripped in CLOSERS


def _is_element(line: bytes) -> bool:
    """Whether a line is one object of a list, with the comma or bracket that follows it."""
    stripped = line.strip()
    return stripped.startswith(b"{") and stripped.endswith((b",", b"]")) and _is_object(stripped.rstrip(b",]"))


def _is_object(line: bytes) -> bool:
    try:
        parse_object(line)
    except Undecodable:
        return False
    return True

"""Reads the words of a ClickHouse statement: enough to tell what it does to which table, and to name others in it.

No grammar: sqlglot's ClickHouse dialect left 77 of our 108 statements unread (parameterised views, ALTERs with several
commands, SQL SECURITY), and a reader of words cannot fall behind the server's grammar. Who uses it treats what it does
not know as dangerous.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

_TOKEN = re.compile(
    r"""
      (?P<space>\s+|--[^\n]*|/\*.*?\*/)
    | (?P<string>'(?:\\.|''|[^'\\])*')
    | (?P<quoted>`(?:\\.|``|[^`\\])*`|"(?:\\.|""|[^"\\])*")
    | (?P<word>[A-Za-z_]\w*)
    | (?P<number>\d[\w.]*)
    | (?P<symbol>.)
    """,
    re.VERBOSE | re.DOTALL,
)
_OPENING, _CLOSING = "([{", ")]}"


@dataclass(frozen=True)
class Token:
    """A word, a quoted name, a string, a number or a symbol, and where it stands in the statement."""

    kind: str
    text: str
    start: int
    end: int

    @property
    def word(self) -> str:
        """In capitals if it is a bare word, else empty."""
        return self.text.upper() if self.kind == "word" else ""

    @property
    def name(self) -> str:
        """The name that it stands for, without quotes; empty if it can be none."""
        return self.text if self.kind == "word" else self.text[1:-1] if self.kind == "quoted" else ""


def read_tokens(sql: str) -> list[Token]:
    """What a statement is made of, without space and comments."""
    found = _TOKEN.finditer(sql)
    return [Token(each.lastgroup or "", each[0], *each.span()) for each in found if each.lastgroup != "space"]


def split_at_commas(tokens: Sequence[Token]) -> list[list[Token]]:
    """The parts between those commas that stand in no bracket."""
    parts: list[list[Token]] = [[]]
    for token, depth in with_depth(tokens):
        if token.text == "," and depth == 0:
            parts.append([])
        else:
            parts[-1].append(token)
    return [part for part in parts if part]


def with_depth(tokens: Sequence[Token]) -> Iterator[tuple[Token, int]]:
    """Each token and in how many brackets it stands; a bracket itself stands outside of what it encloses."""
    depth = 0
    for token in tokens:
        if token.kind == "symbol" and token.text in _CLOSING:
            depth -= 1
        yield token, depth
        if token.kind == "symbol" and token.text in _OPENING:
            depth += 1


def text_of(sql: str, tokens: Sequence[Token]) -> str:
    """What stands in the statement from the first of some tokens to the last."""
    return sql[tokens[0].start : tokens[-1].end] if tokens else ""


def table_places(tokens: Sequence[Token]) -> Iterator[tuple[int, str]]:
    """Each place (number of its first token) where something is named as `one.other`, and that name without quotes."""
    for at, (first, dot, second) in enumerate(zip(tokens, tokens[1:], tokens[2:], strict=False)):
        is_inner = at > 0 and tokens[at - 1].text == "."
        if dot.text == "." and first.name and second.name and not is_inner:
            yield at, f"{first.name}.{second.name}"


def rename_tables(sql: str, names: Mapping[str, str]) -> str:
    """The statement with other names (`database.table`) for those tables that `names` has."""
    tokens = read_tokens(sql)
    for at, name in reversed(list(table_places(tokens))):
        if name in names:
            sql = sql[: tokens[at].start] + names[name] + sql[tokens[at + 2].end :]
    return sql


def shorten(sql: str, longest: int = 120) -> str:
    """The statement on one line, without comments, cut off where it gets long."""
    line = " ".join("".join(each[0] if each.lastgroup != "space" else " " for each in _TOKEN.finditer(sql)).split())
    return line if len(line) <= longest else f"{line[: longest - 1]}…"


class Cursor:
    """Reads tokens one after the other."""

    def __init__(self, tokens: Sequence[Token]) -> None:
        self._tokens = tokens
        self._at = 0

    @property
    def rest(self) -> list[Token]:
        """What has not been read yet."""
        return list(self._tokens[self._at :])

    def take(self, *words: str) -> bool:
        """Read these words if they come next; tells whether they did."""
        coming = self._tokens[self._at : self._at + len(words)]
        if [token.word for token in coming] != list(words):
            return False
        self._at += len(words)
        return True

    def take_any(self, words: Sequence[str]) -> str:
        """Read the next word if it is one of these, and return it; else empty."""
        return next((word for word in words if self.take(word)), "")

    def take_name(self) -> str:
        """Read a name, `database.table` or a single one, and return it without quotes; empty if none comes."""
        coming = self.rest
        if len(coming) > 2 and coming[1].text == "." and coming[0].name and coming[2].name:
            self._at += 3
            return f"{coming[0].name}.{coming[2].name}"
        if coming and coming[0].name:
            self._at += 1
            return coming[0].name
        return ""

    def skip_existence(self) -> None:
        """Read `IF EXISTS` or `IF NOT EXISTS` if they come next."""
        if not self.take("IF", "EXISTS"):
            self.take("IF", "NOT", "EXISTS")

    def skip_cluster(self) -> None:
        """Read `ON CLUSTER name` if it comes next."""
        if self.take("ON", "CLUSTER"):
            self._at += 1

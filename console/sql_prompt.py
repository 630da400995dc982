"""The prompt of `journeys sql`: statements one after another, completed by what the server has."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from prompt_toolkit import PromptSession
from prompt_toolkit.completion import CompleteEvent, Completer, Completion
from prompt_toolkit.document import Document
from prompt_toolkit.history import FileHistory, History, InMemoryHistory
from prompt_toolkit.input import Input
from prompt_toolkit.key_binding import KeyBindings, KeyPressEvent
from prompt_toolkit.output import Output

NAMES_SQL = (
    "SELECT concat(database, '.', table) AS view, groupArray(name) FROM system.columns "
    "WHERE database = 'analytics' GROUP BY view UNION ALL "
    "SELECT concat(database, '.', name), [] FROM system.tables WHERE database = 'analytics' AND engine = 'View'"
)
KEYWORDS = (
    "SELECT", "FROM", "WHERE", "GROUP BY", "ORDER BY", "LIMIT", "HAVING", "JOIN", "LEFT JOIN", "INNER JOIN", "USING",
    "ON", "AS", "AND", "OR", "NOT", "IN", "BETWEEN", "LIKE", "IS NULL", "IS NOT NULL", "DISTINCT", "WITH", "UNION ALL",
    "DESC", "ASC", "ARRAY JOIN", "INTERVAL", "CASE", "WHEN", "THEN", "ELSE", "END", "DESCRIBE TABLE",
    "SHOW TABLES FROM", "count()", "countIf(", "sum(", "avg(", "min(", "max(", "uniqExact(", "quantile(", "quantiles(",
    "round(", "toDate(", "toStartOfWeek(", "toStartOfMonth(", "dateDiff(", "formatReadableTimeDelta(", "arrayJoin(",
    "JSONExtractString(",
)  # fmt: skip
LEAVES = ("exit", "quit", "\\q")
ASKS_HELP = ("help", "?", "\\?", "\\d")
HELP = "SHOW TABLES FROM analytics; lists the views, DESCRIBE TABLE analytics.journeys; the columns of one."
HINT = "End a statement with ; and Enter. Tab completes, Ctrl-R searches what was asked before, Ctrl-D or exit leaves."
_WORD = re.compile(r"[\w.]+")


class Names(NamedTuple):
    """What may stand in a statement: views with their columns."""

    columns: dict[str, list[str]]

    @classmethod
    def of(cls, rows: Iterable[tuple[str, list[str]]]) -> Names:
        """From the rows of `NAMES_SQL`."""
        found: dict[str, list[str]] = {}
        for name, columns in rows:
            found[name] = found.get(name) or columns
        return cls(found)


class SqlCompleter(Completer):
    """Views, their columns (first of those that the statement names), keywords and the usual functions."""

    def __init__(self, names: Names) -> None:
        self._names = names

    def get_completions(self, document: Document, complete_event: CompleteEvent) -> Iterator[Completion]:
        """What the word before the cursor may become."""
        word = document.get_word_before_cursor(pattern=_WORD)
        if not word and not complete_event.completion_requested:
            return
        wanted = word.lower()
        for text, kind in self._candidates(document.text):
            # `alerts` finds `analytics.alerts` too.
            if text.lower().startswith(wanted) or text.lower().removeprefix("analytics.").startswith(wanted):
                yield Completion(text, start_position=-len(word), display_meta=kind)

    def _candidates(self, statement: str) -> Iterator[tuple[str, str]]:
        named = [name for name in self._names.columns if re.search(rf"\b{re.escape(name)}\b", statement)]
        columns = dict.fromkeys(column for name in named or self._names.columns for column in self._names.columns[name])
        yield from ((column, "column") for column in columns)
        yield from ((name, "view") for name in sorted(self._names.columns))
        yield from ((keyword, "") for keyword in KEYWORDS)


def is_whole(text: str) -> bool:
    """Whether Enter ends what was typed: a semicolon does, or a word that leaves."""
    stripped = text.strip()
    return not stripped or stripped.endswith(";") or stripped in (*LEAVES, *ASKS_HELP)


def read_statements(
    names: Names,
    history: Path | None,
    say: Callable[[str], object],
    keyboard: Input | None = None,
    screen: Output | None = None,
) -> Iterator[str]:
    """Statements without their semicolon, until whoever types them leaves. Ctrl-C drops what was typed.

    `history`: the file where they are kept; None keeps them for this time only.
    """
    kept: History = InMemoryHistory() if history is None else FileHistory(str(history))
    session: PromptSession[str] = PromptSession(
        "journeys> ", completer=SqlCompleter(names), history=kept, key_bindings=_keys(), multiline=True,
        prompt_continuation="       -> ", complete_while_typing=False, input=keyboard, output=screen,
    )  # fmt: skip
    say(HINT)
    while True:
        try:
            text = session.prompt().strip()
        except KeyboardInterrupt:
            continue
        except EOFError:
            return
        if text in LEAVES:
            return
        if text in ASKS_HELP:
            say(f"{HELP}\n{HINT}")
            continue
        if statement := text.rstrip(";").strip():
            yield statement


def _keys() -> KeyBindings:
    keys = KeyBindings()

    @keys.add("enter")
    def _enter(event: KeyPressEvent) -> None:
        if is_whole(event.current_buffer.text):
            event.current_buffer.validate_and_handle()
        else:
            event.current_buffer.insert_text("\n")

    return keys

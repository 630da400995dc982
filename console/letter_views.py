"""Dead letters for people and for programs; bytes of strangers are shown so that no terminal acts on them. Pure."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import msgspec
from rich import box
from rich.table import Table
from rich.text import Text

from console.cells import json_value, printable, show_cell
from console.letter_filters import OPEN, REFUSED_AGAIN, REPLAYED
from console.letter_replay import Tally
from console.letter_store import Letter, Replay
from console.sql_results import Columns, make_pairs
from schemas.dead_letter import WHAT_TO_DO

EXCERPT_CHARACTERS = 40
STYLES = {OPEN: "", REFUSED_AGAIN: "yellow", REPLAYED: "dim"}
COLUMNS = Columns(
    ("id", "refused_at", "arrived_at", "reason", "detail", "status", "key", "raw_bytes", "raw", "headers")
    + ("replay_of", "attempt", "replays", "replayed_at", "replayed_by", "refused_again_as"),
    ("String", "DateTime64(3)", "DateTime64(3)", "String", "String", "String", "String", "UInt64", "String", "Map")
    + ("String", "UInt16", "UInt32", "DateTime64(3)", "String", "String"),
)
DIVIDED_COLUMNS = ("letters", "open", "replayed", "refused_again", "first_refused_at", "last_refused_at")
DIVIDED_KINDS = ("String", *("UInt64",) * 4, *("DateTime64(3)",) * 2)
_UNSAFE = re.compile(r"[^\x00-\x7e]")


def show_bytes(raw: bytes, characters: int | None = None) -> str:
    """Bytes as one line of text: what is no UTF-8 or could move a cursor or turn the direction is written out."""
    # Cut before it is decoded: a letter may be of many megabytes.
    text = printable((raw if characters is None else raw[: characters * 4]).decode("utf-8", "backslashreplace"))
    if characters is None or (len(text) <= characters and len(raw) <= characters * 4):
        return text
    return f"{text[: characters - 1]}…"


def show_record(raw: bytes) -> list[str]:
    """The whole record in lines: JSON with one value on each, anything else as it came."""
    try:
        text = msgspec.json.format(raw, indent=2).decode()
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        text = raw.decode("utf-8", "backslashreplace")
    return [printable(line) for line in text.split("\n")]


def to_json(value: Any, indent: int | None = None) -> str:
    """JSON whose texts hold no character that a terminal would act on: those are escaped, and read back the same."""
    text = json.dumps(json_value(value), ensure_ascii=False, indent=indent)
    return _UNSAFE.sub(lambda found: found[0] if found[0].isprintable() else json.dumps(found[0])[1:-1], text).replace(
        "\x7f", "\\u007f"
    )


def make_list(letters: Iterable[Letter]) -> Table:
    """One line each; what has been sent again is dim."""
    table = Table(box=box.SIMPLE_HEAD, header_style="bold", pad_edge=False)
    for name in ("id", "refused (UTC)", "reason"):
        table.add_column(name, no_wrap=True)
    table.add_column("detail", overflow="fold")
    table.add_column("record", overflow="ellipsis", no_wrap=True)
    table.add_column("status", overflow="fold")
    for letter in letters:
        head = letter.head
        table.add_row(
            Text(printable(str(head.id))),
            Text(f"{head.refused_at:%d %b %H:%M:%S}"),
            Text(head.reason),
            Text(printable(head.detail)),
            Text(show_bytes(letter.raw, EXCERPT_CHARACTERS)),
            Text(status_words(letter)),
            style=STYLES.get(head.status, ""),
        )
    return table


def status_words(letter: Letter) -> str:
    """What became of it, in a few words."""
    head = letter.head
    if head.status == REPLAYED:
        again = f", refused again as {head.refused_again_as}" if head.refused_again_as else ""
        return f"replayed{again}"
    return f"refused again, attempt {head.attempt}" if head.status == REFUSED_AGAIN else head.status


def list_note(shown: int, counts: Mapping[str, int], hidden: int) -> str:
    """How many letters there are, and how to see the rest."""
    count = sum(counts.values())
    noun = "dead letter" if count == 1 else "dead letters"
    rest = "" if shown >= count else f", of which the newest {shown:,} are shown: --limit 0 shows all"
    left = f"; replayed and not shown: {hidden:,} (--status all)" if hidden else ""
    return f"{count:,} {noun}{rest}{left}"


def record_of(letter: Letter) -> dict[str, Any]:
    """All that is known of a letter, by the names of `COLUMNS`, for JSON.

    `raw` is text, and null with the bytes in `raw_base64` where they are no UTF-8.
    """
    found = dict(zip(COLUMNS.names, row_of(letter), strict=True))
    try:
        found["raw"] = letter.raw.decode()
    except UnicodeDecodeError:
        found["raw"], found["raw_base64"] = None, base64.b64encode(letter.raw).decode("ascii")
    return found


def row_of(letter: Letter) -> list[Any]:
    """The same as cells that are safe to show."""
    head = letter.head
    headers = {printable(name): show_bytes(value) for name, value in letter.headers.items()}
    return [
        str(head.id), head.refused_at, head.arrived_at, head.reason, printable(head.detail), head.status,
        show_bytes(letter.key), head.raw_bytes, show_bytes(letter.raw), headers, head.replay_of, head.attempt,
        head.replays, head.replayed_at, head.replayed_by, head.refused_again_as,
    ]  # fmt: skip


def detail_rows(letter: Letter) -> Iterator[tuple[str, str]]:
    """Label and value of all that is said of one letter but its bytes; what is empty is left out."""
    head = letter.head
    again = f"{head.replay_of}, attempt {head.attempt}" if head.replay_of else ""
    found = [
        ("status", status_words(letter)),
        ("reason", head.reason),
        ("detail", head.detail),
        ("what to do", next((text for name, text in WHAT_TO_DO.items() if name == head.reason), "")),
        ("refused", f"{show_cell(head.refused_at)} UTC, by step {head.step}"),
        ("arrived", f"{show_cell(head.arrived_at)} UTC"),
        ("key", show_bytes(letter.key)),
        *((f"header {name}", show_bytes(value)) for name, value in letter.headers.items()),
        ("replay of", again),
        ("bytes", f"{head.raw_bytes:,}"),
    ]
    return ((printable(label), printable(value)) for label, value in found if value)


def make_detail(letter: Letter) -> Table:
    """The same as a table."""
    return make_pairs(detail_rows(letter))


def replay_lines(replays: Sequence[Replay]) -> list[str]:
    """What became of each time that it was sent again, oldest first."""
    return [
        printable(
            f"{show_cell(each.replayed_at)}  attempt {each.attempt} by {each.by}"
            f"{f' with {each.mapping}' if each.mapping else ''}: to {each.to_topic} under {each.to_key}, "
            f"event_id {each.event_id}: {each.fate}"
        )
        for each in replays
    ]


def tally_line(tally: Tally, is_dry: bool) -> str:
    """What became of all letters in one line."""
    parts = [f"{tally.sent:,} would be sent again" if is_dry else f"{tally.sent:,} sent again"]
    counts = (
        (tally.still_refused, "still refused"),
        (tally.left_out, "left out by the mapping"),
        (tally.undelivered, "not delivered"),
        (tally.held_back, "held back as they were replayed before (--again sends them)"),
    )
    return ", ".join([*parts, *(f"{count:,} {what}" for count, what in counts if count)])

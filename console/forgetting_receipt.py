"""What an erasure comes to: found, erased, verified, and what it cannot reach. It names identifiers by their hashes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from rich import box
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from console.cells import printable
from schemas.links import forgotten_hash
from schemas.topics import TOPICS

NEVER_REACHED = (
    ("what producers have spooled and not sent yet", "sent or removed; what is sent is dropped"),
    ("backups, and copies made of tables or topics", "their own retention"),
    ("log files", "their own retention; none of ours quotes touchpoints, but a refusal's reason may"),
    ("whoever was told of an alert outside of this platform", "they erase it themselves"),
)
"""Places that no command can look into, and until when they may keep the customer."""


@dataclass(frozen=True)
class Alias:
    """One identifier, by its kind and the SHA-256 of its record key; `why_kept` if it is not the customer's alone."""

    kind: str
    sha256: str
    why_kept: str = ""

    @classmethod
    def of(cls, key: str, why_kept: str = "") -> Alias:
        """The alias of a record key."""
        return cls(key.partition(":")[0], forgotten_hash(key), why_kept)


@dataclass
class Place:
    """A table or topic: how much of the customer was `found`, `erased`, and is `left`, None while that is not known.

    `note` says more.
    """

    name: str
    found: int = 0
    erased: int = 0
    left: int | None = None
    note: str = ""


@dataclass(frozen=True)
class Beyond:
    """A place out of reach, and `until` when; `found` None: nobody has looked."""

    name: str
    until: str
    found: int | None = None


@dataclass
class Receipt:
    """The account of one erasure. `workers` is what they answered, empty while they have not been asked."""

    receipt_id: str
    asked: str
    by: str
    forgotten_at: str
    dry_run: bool
    erased: list[Alias] = field(default_factory=list)
    shared: list[Alias] = field(default_factory=list)
    tables: list[Place] = field(default_factory=list)
    topics: list[Place] = field(default_factory=list)
    workers: str = ""
    left: dict[str, int] = field(default_factory=dict)
    beyond: list[Beyond] = field(default_factory=list)

    @property
    def found(self) -> int:
        """Rows and records found in all."""
        return sum(place.found for place in (*self.tables, *self.topics))

    @property
    def is_clean(self) -> bool:
        """Whether everything was read once more, and nothing found."""
        return not self.dry_run and not self.left and all(place.left == 0 for place in (*self.tables, *self.topics))

    def as_json(self) -> dict[str, Any]:
        """One object for programs."""
        return {**asdict(self), "found": self.found, "clean": self.is_clean}


def list_beyond(
    scanned: Mapping[str, int], system_logs: Mapping[str, int | None], stale: Mapping[str, int], detached: int
) -> list[Beyond]:
    """What an erasure does not reach. `scanned`: records found by topic; `stale`: replaced files by table."""
    found = [
        Beyond(
            f"topic {topic.name}",
            f"{topic.retention_days} days after each record came"
            if topic.retention_days
            else "a newer record of its key",
            scanned.get(topic.name),
        )
        for topic in TOPICS
        if topic.cleanup == "delete" or topic.name in scanned
    ]
    compacted = ", ".join(topic.name for topic in TOPICS if topic.cleanup == "compact" and topic.name not in scanned)
    found.append(
        Beyond(f"bytes of replaced records in {compacted}", "the broker compacts (segment.ms, delete.retention.ms)")
    )
    found += [Beyond(f"replaced files of {table}", "ClickHouse removes them", count) for table, count in stale.items()]
    found += [Beyond(f"ClickHouse table {table}", "its own retention", count) for table, count in system_logs.items()]
    if detached:
        found.append(Beyond("detached parts of ClickHouse", "somebody drops them (system.detached_parts)", detached))
    return [*found, *(Beyond(*each) for each in NEVER_REACHED)]


def show_receipt(receipt: Receipt) -> RenderableType:
    """The receipt for a terminal."""
    head = "what would be erased" if receipt.dry_run else f"receipt {receipt.receipt_id}"
    parts: list[RenderableType] = [
        Text(f"{head}: {printable(receipt.asked)}, {receipt.forgotten_at}", style="bold"),
        _aliases("identifiers of the customer", receipt.erased),
    ]
    if receipt.shared:
        parts.append(
            _aliases("also seen with the customer, and not theirs alone: only untied from them", receipt.shared)
        )
    parts.append(_places(receipt))
    if receipt.workers:
        parts.append(Text(f"workers: {receipt.workers}"))
    parts += [_beyond(receipt.beyond), *_verdict(receipt)]
    return Group(*parts)


def _table(title: str, *columns: str, numbers: Sequence[str] = ()) -> Table:
    table = Table(box=box.SIMPLE_HEAD, header_style="bold", pad_edge=False, title=title, title_justify="left")
    for name in columns:
        table.add_column(name, justify="right" if name in numbers else "left", overflow="fold")
    return table


def _aliases(title: str, aliases: Iterable[Alias]) -> Table:
    table = _table(title, "kind", "sha-256 of kind:value", "")
    for alias in aliases:
        table.add_row(alias.kind, alias.sha256, printable(alias.why_kept))
    return table


def _places(receipt: Receipt) -> Table:
    numbers = ("found", "erased", "left")
    table = _table("rows of tables (each version counts) and records of topics", "where", *numbers, "", numbers=numbers)
    for place in (*receipt.tables, *receipt.topics):
        if place.found or place.erased or place.left:
            left = "-" if place.left is None else f"{place.left:,}"
            style = "red" if place.left else ""
            table.add_row(place.name, f"{place.found:,}", f"{place.erased:,}", Text(left, style=style), place.note)
    if not table.row_count:
        table.add_row("nothing anywhere", "0", "0", "-", "")
    return table


def _beyond(beyond: Iterable[Beyond]) -> Table:
    table = _table("out of reach of this command", "what", "until", "found", numbers=("found",))
    for each in beyond:
        table.add_row(each.name, each.until, "not looked" if each.found is None else f"{each.found:,}")
    return table


def _verdict(receipt: Receipt) -> list[Text]:
    if receipt.dry_run:
        return [Text("nothing was changed")]
    if receipt.is_clean:
        tables, topics = len({place.name.split()[0] for place in receipt.tables}), len(receipt.topics)
        return [Text(f"verified: nothing is left in {tables} tables and {topics} compacted topics", style="green")]
    lines = [Text(f"left: {place}: {count:,}", style="red") for place, count in receipt.left.items()]
    advice = (
        "run the same command again; what stays then is free text, or a column that no rule knows, and yours to mend"
    )
    return [*lines, Text(f"not everything is erased: {advice}", style="bold red")]

"""Deciding to whom identifiers belong by what a backfill has loaded, and bringing their history to the owners."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import chain, islice

from console.backfill_setup import Bench, Claims
from schemas.identifiers import customer_key, customer_name
from schemas.partitioning import partition_of
from sinks import backfill_queries as queries
from sinks.state_store import version_of
from streams.backfill.links import WEAK_KINDS, Change, Merges, decide_anew, mark_circle, order_merges
from streams.history_reader import HistoryReader
from streams.identity.shelf import Decided
from streams.rows import Rows, owner_row

LINK_FLUSH = 1
"""The flush under which decisions are written; those of ranges come after."""
IDENTIFIERS = 20_000
"""So many are decided on at once."""
NAMED_AT_ONCE = 1_000
"""So many customers are named in one statement."""
Tell = Callable[[str], object]
"""Told what is being done now."""


class Linking:
    """One run's links. `keep` is given those whose owner loses them, before that is written."""

    def __init__(self, bench: Bench, claims: Claims, tell: Tell, keep: Callable[[list[Change]], object]) -> None:
        self._bench = bench
        self._claims = claims
        self._tell = tell
        self._keep = keep
        self._writer = bench.writer
        self._since = {"since_ms": bench.setup.since_ms}
        self._reader = HistoryReader(bench.writer, bench.configuration.policy.plan.keeps)
        self._changes = 0

    def run(self) -> None:
        """Decide, then move. Doing it again changes nothing. Raises Fenced, Transient and Terminal."""
        rows = self._bench.attempt(lambda: self._writer.query(queries.LINKED, self._since))
        identifiers = (name for (name,) in rows)
        while some := list(islice(identifiers, IDENTIFIERS)):
            self._bench.attempt(partial(self._decide, some))
            self._tell(f"looking whose identifiers are: {self._changes:,} found")
        merges = self._settle_circles()
        for kind in WEAK_KINDS:
            self._move(queries.OF_KIND, {"kind": f"{kind}:"}, kind)
        for level in merges.levels:
            for start in range(0, len(level), NAMED_AT_ONCE):
                named = tuple(level[start : start + NAMED_AT_ONCE])
                self._move(queries.NAMED, {"identifiers": named}, "merged customer")

    def newest_moved_ms(self) -> dict[int, int]:
        """The newest touchpoint that was moved into each partition."""
        return self._bench.attempt(self._find_newest_moved)

    def _find_newest_moved(self) -> dict[int, int]:
        newest: dict[int, int] = {}
        partitions = self._bench.setup.partitions
        for name, moment_ms in chain.from_iterable(self._writer.stream(queries.NEWEST_MOVED, self._since)):
            number = partition_of(customer_key(name.decode()).encode(), partitions)
            newest[number] = max(newest.get(number, 0), moment_ms)
            if len(newest) == partitions:
                break
        return newest

    def _decide(self, identifiers: Sequence[str]) -> None:
        known = self._reader.read_known(identifiers)
        first_ms = dict(self._first_seen(identifiers))
        limits = self._bench.configuration.policy.limits
        changes = list(decide_anew(known, limits, self._version, first_ms))
        self._keep([change for change in changes if change.former])
        self._write([change.decided for change in changes])
        self._changes += len(changes)

    def _first_seen(self, identifiers: Sequence[str]) -> Iterator[tuple[str, int]]:
        names = {customer_name(each): each for each in identifiers}
        for name, moment_ms in chain.from_iterable(self._writer.stream_about(queries.FIRST_SEEN, list(names))):
            yield names[name.decode()], moment_ms

    def _version(self, identifier: str) -> int:
        number = partition_of(identifier.encode(), self._bench.setup.partitions)
        return version_of(self._claims.epochs[number], LINK_FLUSH)

    def _write(self, decided: Sequence[Decided]) -> None:
        now_ms = time.time_ns() // 1_000_000
        self._bench.write(Rows(identity_owners=[owner_row(each, now_ms) for each in decided]), self._claims)

    def _settle_circles(self) -> Merges:
        rows = self._bench.attempt(lambda: self._writer.query(queries.MERGES))
        owners = {identifier: owner for identifier, owner, _ in rows}
        versions = {identifier: version for identifier, _, version in rows}
        merges = order_merges(owners)
        self._write([mark_circle(key, owners[key], versions[key] + 1) for key in sorted(merges.settled)])
        return merges

    def _move(self, chosen: str, who: dict[str, object], noun: str) -> None:
        months = self._bench.attempt(lambda: self._writer.query(queries.about(queries.MONTHS, chosen), who))
        for (month,) in months:
            self._tell(f"moving what came under each {noun}: {month // 100}-{month % 100:02}")
            for statement in (queries.MOVE, queries.TAKE_AWAY):
                self._bench.check_claims(self._claims)
                order = partial(self._writer.query, queries.about(statement, chosen), {**who, "month": month})
                self._bench.attempt(order)

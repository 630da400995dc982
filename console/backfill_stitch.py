"""Stitching the customers of one range of names: their touchpoints from ClickHouse, their journeys into it."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from itertools import chain
from typing import Any

from console.backfill_journal import Range, StitchedRange
from console.backfill_setup import Bench, Claims
from schemas.catalogue import UNSTITCHED
from schemas.identifiers import customer_key, is_customer
from schemas.topics import TOUCHPOINTS
from sinks import backfill_queries as queries
from sinks import identity_queries
from streams.backfill.stitching import NOTHING, Found, Stitching
from streams.backtest import Window
from streams.backtest_history import read_facts
from streams.backtest_needs import Needs
from streams.backtest_run import read_span
from streams.episodes import NO_CONTEXT, Context
from streams.gathering import Cold
from streams.history_reader import HistoryReader
from streams.touch import Touch
from streams.touch_rows import TouchReader


class RangeStitcher:
    """Stitches ranges under one claim, each as one flush."""

    def __init__(self, bench: Bench, claims: Claims) -> None:
        self._bench = bench
        self._claims = claims
        keeps = bench.configuration.policy.plan.keeps
        self._reader = HistoryReader(bench.writer, keeps)
        self._touches = TouchReader(keeps)

    @cached_property
    def _context(self) -> Context:
        """What was stated of stock, over all of history."""
        span = self._bench.attempt(lambda: read_span(self._bench.writer))
        if span is None:
            return NO_CONTEXT
        policy = self._bench.configuration.policy
        needs = Needs.of([policy.plan], Window(span.first_ms, span.newest_ms), policy.stitching)
        return Context(self._bench.attempt(lambda: read_facts(self._bench.writer, needs)))

    def stitch(self, names: Range, flush: int) -> StitchedRange:
        """Stitch a range. Stitching it again gives the same. Raises Fenced, Transient and Terminal."""
        configuration = self._bench.configuration
        standings = self._claims.standings(flush, TOUCHPOINTS)
        stitching = Stitching(configuration.policy, configuration.rules, self._context, standings)
        touches = self._bench.attempt(lambda: self._read_touches(names))
        found = self._bench.attempt(lambda: self._find(names, touches))
        done = StitchedRange()
        for name in touches.keys() | found.keys():
            given = touches.get(name, [])
            stitching.stitch(name, given, found.get(name, NOTHING))
            done.touchpoints += len(given)
            done.customers += bool(given)
        self._bench.write(stitching.take(time.time_ns() // 1_000_000), self._claims)
        done.journeys, done.alerts = stitching.journeys, stitching.alerts
        return done

    def _asked(self, names: Range) -> dict[str, Any]:
        return {"first": names[0], "last": names[1], "since_ms": self._bench.setup.since_ms}

    def _read_touches(self, names: Range) -> dict[str, list[Touch]]:
        touched = queries.EVERYBODY if self._claims.is_first else queries.ONLY_TOUCHED
        plan = self._bench.configuration.policy.plan
        asked = {**self._asked(names), "signals": tuple(sorted(plan.keeps)), "unstitched": tuple(UNSTITCHED)}
        columns = self._bench.writer.query(queries.HISTORY.format(touched=touched), asked, columnar=True)
        return dict(group_touches(columns, self._touches)) if columns else {}

    def _find(self, names: Range, touches: Mapping[str, object]) -> dict[str, Found]:
        """What was known before of those whom the backfill touches."""
        if self._claims.is_first:
            # Whoever is there is new, but there may be links.
            weak = [name for name in touches if customer_key(name) == name and not is_customer(name)]
            known = self._reader.read_known(weak)
            return {name: Found(known=each) for name, each in known.items()}
        writer = self._bench.writer
        touched = {name for (name,) in writer.query(queries.TOUCHED, self._asked(names))}
        linked = writer.query(queries.LINKED_IN, self._asked(names))
        everybody = sorted(touched.union(name for (name,) in linked))
        return self._find_all(everybody)

    def _find_all(self, names: Sequence[str]) -> dict[str, Found]:
        keys = {customer_key(name): name for name in names}
        states = self._read_states(list(keys))
        known = self._reader.read_known([key for key in keys if not is_customer(key)])
        ids: defaultdict[tuple[str, bytes], list[str]] = defaultdict(list)
        rows = chain.from_iterable(self._bench.writer.stream_about(identity_queries.WRITTEN_IDS, names))
        for table, name, identity in rows:
            ids[name.decode(), table].append(identity.decode())
        return {
            name: Found(
                states.get(key), ids[name, b"journeys"], ids[name, b"promises"], ids[name, b"alerts"], known.get(key)
            )
            for key, name in keys.items()
        }

    def _read_states(self, keys: Sequence[str]) -> dict[str, Cold]:
        found: dict[str, Cold] = {}
        for key, segment, due_ms, blob in chain.from_iterable(self._bench.writer.stream_about(queries.STATES, keys)):
            if segment == 0:
                found[key.decode()] = Cold(due_ms, due_ms, blob)
            else:
                found[key.decode()].sealed += (blob,)
        return found


def group_touches(columns: Sequence[Sequence[Any]], reader: TouchReader) -> Iterator[tuple[str, list[Touch]]]:
    """Each customer of columns of `backfill_queries.HISTORY`, with all touches in order."""
    names = columns[0]
    touches = reader.read_columns(columns)
    start = 0
    for place in range(1, len(names) + 1):
        if place == len(names) or names[place] != names[start]:
            yield names[start], touches[start:place]
            start = place

"""Stored states of others that name a customer and are out of date: found by what they say, erased by their place.

The state of an identifier names whose it was. Its worker writes it anew without the erased one; until the server
merges the two by itself, which may take days, the one of before is still in the files.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from console.forgetting_letters import among, find_rows, text_condition
from console.forgetting_names import Needles
from sinks.writer import ClickHouseWriter

STATES_SQL = """SELECT DISTINCT hex(SHA256(customer_key)), segment, arrayJoin(arrayFilter(v -> v < newest, named))
FROM (SELECT customer_key, segment, groupArrayIf(_version, {condition}) AS named, max(_version) AS newest
    FROM journeys.customer_state
    WHERE customer_key IN (SELECT customer_key FROM journeys.customer_state WHERE {condition})
    GROUP BY customer_key, segment)"""


@dataclass(frozen=True)
class States:
    """Rows of customer state that a later one has replaced, as (hash of the key, segment, version)."""

    places: tuple[tuple[str, int, int], ...] = ()

    def conditions(self) -> Iterator[str]:
        """Conditions that pick them."""
        texts = [f"('{key_hash}', {segment}, {version})" for key_hash, segment, version in self.places]
        yield from among("hex(SHA256(customer_key)), segment, _version", texts)


def find_states(clickhouse: ClickHouseWriter, needles: Needles) -> States:
    """All states with one of the identifiers in them of which there is a later one."""
    sql = STATES_SQL.format(condition=text_condition("blob"))
    return States(tuple(sorted(find_rows(clickhouse, sql, needles))))

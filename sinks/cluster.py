"""The schema of a cluster, made from the same numbered files as that of one server. Pure: nothing is asked of a server.

Each base table `journeys.x` becomes two: `journeys.x_local` on each server holds rows, and `journeys.x`, a Distributed
table, reads all shards and sends each row that is inserted to the shard of its customer. So whoever names base tables,
the worker and the views of `analytics`, need not know of a cluster. Statements carry no ON CLUSTER: they are run on
each server by itself (`sinks.cluster_migration`), which a server that joins later needs anyway.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise

from schemas.errors import Misconfigured
from sinks.migrate import Form, Migration
from sinks.risky_changes import split_commands
from sinks.sql_reading import Cursor, Token, read_tokens, rename_tables, shorten, table_places, text_of, with_depth

LOCAL = "_local"
REPLICA_PATH = "/clickhouse/tables/{{shard}}/{table}"
"""Of a table's replicas in Keeper. Without the `{uuid}` of ClickHouse's own default, as each server makes its own."""

CUSTOMER = "cityHash64(replaceRegexpOne({column}, '^customer_id:', ''))"
"""The shard of a customer. A record key says `customer_id:C-1` of whom tables show as `C-1`: both are one shard's."""
SHARDED_BY: Mapping[str, str] = {
    # A flush is complete by one insert, which must land whole: all of a group stands on one shard.
    "journeys.partition_progress": "cityHash64(consumer_group)",
    # Almost none of these names a customer.
    "journeys.alert_actions": "cityHash64(action_id)",
}
"""Tables that do not follow the rule of `sharding_key`."""
CUSTOMER_COLUMNS = ("customer_id", "customer_key", "identifier")
OF_BOTH = (
    ("ADD", "COLUMN"),
    ("MODIFY", "COMMENT"),
    ("DROP", "COLUMN"),
    ("MODIFY", "COLUMN"),
    ("COMMENT", "COLUMN"),
    ("RENAME", "COLUMN"),
)
"""Commands of an ALTER that a Distributed table needs as well."""
OF_EACH = (("MODIFY", "SETTING"), ("RESET", "SETTING"), ("MODIFY", "COMMENT"), ("COMMENT", "COLUMN"))
"""Commands of an `ALTER` that reach one replica only: ClickHouse copies neither settings nor comments to the others."""
ON_LOCAL = ("INSERT", "TRUNCATE", "DELETE", "UPDATE", "OPTIMIZE")


@dataclass(frozen=True)
class Peers:
    """What other replicas of a server's shard have: the numbers of the migrations that they have run, or will have
    when it is this server's turn, and the statements that would make their local tables as they are, by table.

    `is_joining`: this server has nothing yet, so it gets their settings and comments together with their tables."""

    done: Collection[int] = ()
    tables: Mapping[str, str] = field(default_factory=dict)
    is_joining: bool = False


ALONE = Peers()


def cluster_form(cluster: str, *, is_replicated: bool = True, peers: Peers = ALONE) -> Form:
    """The form in which migrations are run on a server of `cluster` that has `peers`.

    Without `is_replicated` each shard is one server and no Keeper is needed. What it rewrites raises `Misconfigured`,
    with the statement, for one that has no form for a cluster.
    """

    def rewrite_all(migrations: Sequence[Migration]) -> list[Migration]:
        return follow(rewrite(migrations, cluster, is_replicated=is_replicated), peers)

    return Form(is_spread=True, rewrite=rewrite_all)


def rewrite(migrations: Sequence[Migration], cluster: str, *, is_replicated: bool) -> list[Migration]:
    """The migrations, all of them from the first on, with the SQL for one server of a cluster."""
    writer = _Rewriter(cluster, is_replicated)
    return [
        replace(
            each, sql="\n\n".join(made for one in each.statements for made in writer.rewrite(one, each.name)) + "\n"
        )
        for each in migrations
    ]


def follow(migrations: Sequence[Migration], peers: Peers) -> list[Migration]:
    """Rewritten migrations, without what `peers` have done already to tables and rows that replicas have in common.

    Keeper refuses a replica whose columns are not those that the others have by now, so its tables are made as theirs
    are, not as they once began; and what changes them would be done to all replicas once more.
    """
    return [
        replace(
            each, sql="\n\n".join(_followed(one, peers.tables) for one in each.statements if not _is_common(one, peers))
        )
        if each.version in peers.done
        else each
        for each in migrations
    ]


def _is_common(statement: str, peers: Peers) -> bool:
    """Whether what it does to one replica reaches all, or reaches this one with its tables."""
    cursor = Cursor(read_tokens(statement))
    if cursor.take("ALTER", "TABLE"):
        if not cursor.take_name().endswith(LOCAL):
            return False
        return not _is_of_each(split_commands(cursor.rest)) or peers.is_joining
    return bool(cursor.take_any(ON_LOCAL))


def _is_of_each(commands: Sequence[Sequence[Token]]) -> bool:
    """Whether each replica must run an `ALTER` of these commands. Raises `Misconfigured` where only some are so."""
    own = [any(Cursor(each).take(*words) for words in OF_EACH) for each in commands]
    if any(own) and not all(own):
        raise Misconfigured(
            "an ALTER of settings or comments and of something else reaches no two replicas alike: write two"
        )
    return all(own)


def _followed(statement: str, tables: Mapping[str, str]) -> str:
    cursor = Cursor(read_tokens(statement))
    if cursor.take("CREATE", "TABLE"):
        cursor.skip_existence()
        statement = tables.get(cursor.take_name(), statement)
    return statement.rstrip(";") + ";"


def sharding_key(table: str, columns: Sequence[str], sorting_key: str) -> str:
    """By what the rows of a table are spread: by customer, or else by the whole key, so that versions of a row meet."""
    if table in SHARDED_BY:
        return SHARDED_BY[table]
    column = next((each for each in CUSTOMER_COLUMNS if each in columns), None)
    return CUSTOMER.format(column=column) if column else f"cityHash64{sorting_key}"


class _Rewriter:
    """Knows the base tables and materialised views that the statements before have made."""

    def __init__(self, cluster: str, is_replicated: bool) -> None:
        self._cluster = cluster
        self._is_replicated = is_replicated
        self._local: dict[str, str] = {}

    def rewrite(self, statement: str, name: str) -> list[str]:
        tokens = read_tokens(statement)
        cursor = Cursor(tokens)
        if cursor.take("CREATE", "TABLE"):
            return self._create_table(statement, tokens, name)
        if cursor.take("CREATE", "MATERIALIZED", "VIEW") or cursor.take_any(ON_LOCAL):
            return [rename_tables(statement, self._local)]
        if cursor.take("ALTER", "TABLE"):
            return self._alter(statement, cursor)
        if cursor.take("DROP", "TABLE"):
            return self._drop(statement, tokens)
        if tokens[0].word == "CREATE" and not self._is_about_base(tokens):
            return [statement]
        if tokens[0].word == "DROP" and not self._is_about_base(tokens):
            return [statement]
        raise Misconfigured(f"{name}: this has no form for a cluster: {shorten(statement)}")

    def _is_about_base(self, tokens: Sequence[Token]) -> bool:
        return next((place for _, place in table_places(tokens)), "") in self._local

    def _create_table(self, statement: str, tokens: Sequence[Token], name: str) -> list[str]:
        table = next(place for _, place in table_places(tokens))
        engine = next((at for at, token in enumerate(tokens) if token.word == "ENGINE"), None)
        if engine is None or not tokens[engine + 2].text.endswith("MergeTree"):
            raise Misconfigured(f"{name}: only tables of a MergeTree have a form for a cluster: {shorten(statement)}")
        self._local[table] = f"{table}{LOCAL}"
        local = rename_tables(self._replicated(statement, tokens, engine, table), self._local)
        database, bare = table.split(".")
        key = sharding_key(table, _columns(tokens), _sorting_key(statement, tokens))
        said = [after.text for word, after in pairwise(tokens[engine:]) if word.word == "COMMENT"]
        comment = said[-1] if said else "''"
        return [
            local,
            f"CREATE TABLE IF NOT EXISTS {table} AS {table}{LOCAL}\n"
            f"ENGINE = Distributed('{self._cluster}', '{database}', '{bare}{LOCAL}', {key})\nCOMMENT {comment};",
        ]

    def _replicated(self, statement: str, tokens: Sequence[Token], engine: int, table: str) -> str:
        if not self._is_replicated:
            return statement
        kind = tokens[engine + 2]
        has_arguments = tokens[engine + 3].text == "("
        end = tokens[engine + 3].end if has_arguments else kind.end
        path = REPLICA_PATH.format(table=f"{table}{LOCAL}")
        opened = f"Replicated{kind.text}('{path}', '{{replica}}'"
        opened += "" if not has_arguments else "" if tokens[engine + 4].text == ")" else ", "
        return statement[: kind.start] + opened + ("" if has_arguments else ")") + statement[end:]

    def _alter(self, statement: str, cursor: Cursor) -> list[str]:
        table = cursor.take_name()
        if table not in self._local:
            return [rename_tables(statement, self._local) if table.startswith("journeys.") else statement]
        commands = split_commands(cursor.rest)
        of_both = [each for each in commands if any(Cursor(each).take(*words) for words in OF_BOTH)]
        made = [rename_tables(statement, self._local)]
        if of_both:
            made.append(
                f"ALTER TABLE {table}\n    " + ",\n    ".join(text_of(statement, each) for each in of_both) + ";"
            )
        return made

    def _drop(self, statement: str, tokens: Sequence[Token]) -> list[str]:
        return [statement, rename_tables(statement, self._local)] if self._is_about_base(tokens) else [statement]


def _columns(tokens: Sequence[Token]) -> list[str]:
    """Names of the columns of a CREATE TABLE: what stands first in its brackets and after each comma in them."""
    names: list[str] = []
    begins = False
    for token, depth in with_depth(tokens):
        if begins and depth == 1:
            names.append(token.name)
        begins = token.text in ("(", ",") and depth == (0 if token.text == "(" else 1)
        if token.word == "ENGINE" and depth == 0:
            break
    return names


def _sorting_key(statement: str, tokens: Sequence[Token]) -> str:
    """What stands after ORDER BY, in brackets."""
    at = next(at for at, token in enumerate(tokens) if (token.word, tokens[at + 1].word) == ("ORDER", "BY"))
    key: list[Token] = []
    for token, depth in with_depth(tokens[at + 2 :]):
        if key and depth == 0 and token.text != ")":
            break
        key.append(token)
    text = text_of(statement, key).rstrip(";").strip()
    return text if text.startswith("(") else f"({text})"

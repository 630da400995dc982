"""The SQL that a cluster gets, from statements to statements."""

import pytest

from schemas.errors import Misconfigured
from sinks.cluster import Peers, follow, rewrite
from sinks.migrate import Migration, read_migrations

TABLE = """CREATE TABLE IF NOT EXISTS journeys.t (customer_id String COMMENT 'who; ORDER BY', n UInt8 DEFAULT f(1, 2))
ENGINE = ReplacingMergeTree(v) PARTITION BY n ORDER BY (customer_id, n) TTL d + INTERVAL 1 DAY DELETE WHERE n != 'x'
COMMENT 'it''s it';"""


def spread(*statements: str, is_replicated: bool = True) -> list[list[str]]:
    """What each statement becomes."""
    migrations = [Migration(number, f"{number}_x.sql", each) for number, each in enumerate(statements, 1)]
    return [each.statements for each in rewrite(migrations, "main", is_replicated=is_replicated)]


def test_a_table_becomes_one_that_holds_rows_and_one_that_spreads_them() -> None:
    local, spread_out = spread(TABLE)[0]
    assert local == TABLE.replace("journeys.t ", "journeys.t_local ").replace(
        "ReplacingMergeTree(v)",
        "ReplicatedReplacingMergeTree('/clickhouse/tables/{shard}/journeys.t_local', '{replica}', v)",
    )
    assert spread_out == (
        "CREATE TABLE IF NOT EXISTS journeys.t AS journeys.t_local\n"
        "ENGINE = Distributed('main', 'journeys', 't_local', "
        "cityHash64(replaceRegexpOne(customer_id, '^customer_id:', '')))\nCOMMENT 'it''s it';"
    )


@pytest.mark.parametrize(
    ("engine", "replicated"), [("MergeTree", ""), ("MergeTree()", ""), ("SummingMergeTree(n)", ", n")]
)
def test_engines_are_replicated_with_their_own_arguments(engine: str, replicated: str) -> None:
    table = f"CREATE TABLE journeys.t (n UInt8) ENGINE = {engine} ORDER BY n;"
    local, spread_out = spread(table)[0]
    kind = engine.split("(")[0]
    assert (
        f"Replicated{kind}('/clickhouse/tables/{{shard}}/journeys.t_local', '{{replica}}'{replicated}) ORDER" in local
    )
    assert "cityHash64(n))" in spread_out
    assert spread(table, is_replicated=False)[0][0] == table.replace("journeys.t ", "journeys.t_local ")


def test_columns_are_changed_on_both_and_the_rest_where_the_rows_are() -> None:
    _, both, rest = spread(
        TABLE,
        "ALTER TABLE journeys.t ADD COLUMN IF NOT EXISTS a Map(String, UInt8), ADD INDEX i a TYPE minmax, "
        "MODIFY TTL d, COMMENT COLUMN n 'DROP, COLUMN';",
        "ALTER TABLE journeys.t MODIFY SETTING s = 1, t = 2;",
    )
    assert both == [
        "ALTER TABLE journeys.t_local ADD COLUMN IF NOT EXISTS a Map(String, UInt8), ADD INDEX i a TYPE minmax, "
        "MODIFY TTL d, COMMENT COLUMN n 'DROP, COLUMN';",
        "ALTER TABLE journeys.t\n    ADD COLUMN IF NOT EXISTS a Map(String, UInt8),\n"
        "    COMMENT COLUMN n 'DROP, COLUMN';",
    ]
    assert rest == ["ALTER TABLE journeys.t_local MODIFY SETTING s = 1, t = 2;"]


def test_what_fills_tables_stays_on_one_server_and_views_read_all() -> None:
    _, filling, copy, view, comment, dropped = spread(
        TABLE,
        "CREATE MATERIALIZED VIEW journeys.m TO journeys.t AS SELECT t.n, journeys.t.n FROM journeys.t AS t;",
        "INSERT INTO journeys.t SELECT * FROM journeys.t WHERE n NOT IN (SELECT n FROM journeys.t);",
        "CREATE OR REPLACE VIEW analytics.v AS SELECT * FROM journeys.t FINAL;",
        "ALTER TABLE analytics.v COMMENT COLUMN n 'x';",
        "DROP TABLE IF EXISTS journeys.t;",
    )
    assert filling == [
        "CREATE MATERIALIZED VIEW journeys.m TO journeys.t_local AS SELECT t.n, journeys.t_local.n "
        "FROM journeys.t_local AS t;"
    ]
    assert copy == [
        "INSERT INTO journeys.t_local SELECT * FROM journeys.t_local WHERE n NOT IN (SELECT n FROM journeys.t_local);"
    ]
    assert view == ["CREATE OR REPLACE VIEW analytics.v AS SELECT * FROM journeys.t FINAL;"]
    assert comment == ["ALTER TABLE analytics.v COMMENT COLUMN n 'x';"]
    assert dropped == ["DROP TABLE IF EXISTS journeys.t;", "DROP TABLE IF EXISTS journeys.t_local;"]


@pytest.mark.parametrize(
    "statement",
    [
        "CREATE TABLE journeys.m (n UInt8) ENGINE = Memory",
        "CREATE OR REPLACE TABLE journeys.t (n UInt8) ENGINE = MergeTree ORDER BY n",
        "RENAME TABLE journeys.t TO journeys.u",
        "EXCHANGE TABLES journeys.t AND journeys.u",
    ],
)
def test_what_has_no_form_for_a_cluster_is_refused_by_file(statement: str) -> None:
    with pytest.raises(Misconfigured, match=r"^2_x\.sql: .*(journeys\.m|journeys\.t)"):
        spread(TABLE, statement)


def test_every_migration_of_ours_has_a_form() -> None:
    made = [each for one in rewrite(read_migrations(), "main", is_replicated=True) for each in one.statements]
    local = [each for each in made if " ENGINE = MergeTree" in each or " ENGINE = ReplacingMergeTree" in each]
    assert local == []
    assert (
        sum("ENGINE = Distributed(" in each for each in made)
        == sum("ENGINE = Replicated" in each for each in made)
        > 10
    )


def test_a_replica_does_not_do_again_what_the_others_have_done_to_all() -> None:
    written = [
        TABLE,
        "ALTER TABLE journeys.t ADD COLUMN IF NOT EXISTS a UInt8, ADD INDEX i a TYPE minmax;",
        "INSERT INTO journeys.t SELECT * FROM journeys.t;",
        "CREATE MATERIALIZED VIEW journeys.m TO journeys.t AS SELECT n FROM journeys.t;",
        "DROP TABLE IF EXISTS journeys.t;",
    ]
    migrations = rewrite(
        [Migration(number, f"{number}_x.sql", each) for number, each in enumerate(written, 1)],
        "main",
        is_replicated=True,
    )
    now = "CREATE TABLE IF NOT EXISTS journeys.t_local (customer_id String, n UInt8, a UInt8) ENGINE = X ORDER BY n"
    created, altered, copied, view, dropped = follow(migrations, Peers({1, 2, 3, 4, 5}, {"journeys.t_local": now}))
    assert created.statements == [f"{now};", migrations[0].statements[1]]
    assert altered.statements == ["ALTER TABLE journeys.t\n    ADD COLUMN IF NOT EXISTS a UInt8;"]
    assert copied.statements == []
    assert (view.statements, dropped.statements) == (migrations[3].statements, migrations[4].statements)


def test_each_replica_gets_settings_and_comments_itself() -> None:
    settings = "ALTER TABLE journeys.t MODIFY SETTING a = 1, b = 2;"
    comments = "ALTER TABLE journeys.t COMMENT COLUMN n 'a number', MODIFY COMMENT 'a table';"
    written = [Migration(number, f"{number}_x.sql", each) for number, each in enumerate((TABLE, settings, comments), 1)]
    _, set_, commented = follow(rewrite(written, "main", is_replicated=True), Peers({1, 2, 3}))
    assert set_.statements == ["ALTER TABLE journeys.t_local MODIFY SETTING a = 1, b = 2;"]
    assert commented.statements[0].startswith("ALTER TABLE journeys.t_local COMMENT COLUMN n")
    joining = follow(rewrite(written, "main", is_replicated=True), Peers({1, 2, 3}, is_joining=True))
    assert not any("_local" in each for one in joining[1:] for each in one.statements)


def test_settings_and_columns_are_not_altered_together() -> None:
    mixed = "ALTER TABLE journeys.t ADD COLUMN a UInt8, MODIFY SETTING b = 2;"
    migrations = rewrite([Migration(1, "1_x.sql", TABLE), Migration(2, "2_x.sql", mixed)], "main", is_replicated=True)
    with pytest.raises(Misconfigured, match="reaches no two replicas alike: write two"):
        follow(migrations, Peers({1, 2}))
    everything = rewrite(read_migrations(), "main", is_replicated=True)
    follow(everything, Peers({each.version for each in everything}))


def test_a_replica_does_all_that_no_other_has_done() -> None:
    migrations = rewrite([Migration(1, "1_x.sql", TABLE), Migration(2, "2_x.sql", TABLE)], "main", is_replicated=True)
    followed = follow(migrations, Peers({1}, {"journeys.other_local": "CREATE TABLE journeys.other_local"}))
    assert [each.statements for each in followed] == [each.statements for each in migrations]

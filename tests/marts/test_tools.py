"""What analysts connect with: a notebook over HTTP, SQLAlchemy, the Grafana dashboard."""

import json
import re
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import clickhouse_connect
import pytest
import sqlalchemy

from console.sql_prompt import NAMES_SQL, Names
from deploy.local.stack import LocalStack
from sinks.writer import ClickHouseWriter
from tests.marts.conftest import SHOP_TOUCHPOINTS

pytestmark = pytest.mark.integration
DASHBOARDS = Path(__file__).parents[2] / "deploy" / "grafana" / "dashboards"
FROM, TO = "'2026-09-01 00:00:00'", "'2026-10-01 00:00:00'"


@pytest.fixture(scope="module")
def reach(server: LocalStack) -> dict[str, Any]:
    """How the analyst reaches the server over HTTP."""
    analyst, http = urlsplit(server.analyst_url), urlsplit(server.clickhouse_http_url)
    return {
        "host": http.hostname, "port": http.port, "username": analyst.username, "password": analyst.password,
    }  # fmt: skip


def test_the_prompt_knows_the_columns_of_views_and_the_views_with_parameters(shop: ClickHouseWriter) -> None:
    names = Names.of(shop.query(NAMES_SQL))
    assert {"customer_id", "outcome", "experience"} <= set(names.columns["analytics.journeys"])
    assert names.columns["analytics.flow"] == []


def test_a_notebook_gets_a_data_frame(shop: ClickHouseWriter, reach: dict[str, Any]) -> None:
    client = clickhouse_connect.get_client(**reach, database="analytics")
    try:
        frame = client.query_df("SELECT source, occurred_at, journey_id FROM analytics.touchpoints")
        assert len(frame) == SHOP_TOUCHPOINTS
        assert str(frame["occurred_at"].dtype).startswith("datetime64") and frame["occurred_at"].min().year == 2026
        flow = client.query_df(
            "SELECT * FROM analytics.flow(since = '2026-09-01', until = '2026-10-01', min_journeys = 5)"
        )
        assert {"from_type", "to_type", "transitions"} <= set(flow.columns) and len(flow) > 10
    finally:
        client.close()


def test_sqlalchemy_reads_views_and_finds_their_columns(shop: ClickHouseWriter, reach: dict[str, Any]) -> None:
    url = sqlalchemy.URL.create("clickhousedb", database="analytics", **reach)
    engine = sqlalchemy.create_engine(url)
    try:
        with engine.connect() as connection:
            [(journeys,)] = connection.execute(sqlalchemy.text("SELECT count() FROM analytics.journeys")).all()
            assert journeys == shop.query("SELECT count() FROM analytics.journeys")[0][0]
        columns = {column["name"] for column in sqlalchemy.inspect(engine).get_columns("journeys", schema="analytics")}
        assert {"customer_id", "journey_id", "outcome", "experience"} <= columns
    finally:
        engine.dispose()


def panels() -> list[tuple[str, str]]:
    """Title and SQL of every panel of every dashboard."""
    return [
        (panel["title"], target["rawSql"])
        for path in sorted(DASHBOARDS.glob("*.json"))
        for panel in json.loads(path.read_text("utf-8"))["panels"]
        for target in panel["targets"]
    ]


def expand(sql: str) -> str:
    """What Grafana's ClickHouse plug-in makes of its macros."""
    sql = re.sub(r"\$__timeFilter\((\w+)\)", rf"\1 >= {FROM} AND \1 <= {TO}", sql)
    return re.sub(r"\$__timeInterval\((\w+)\)", r"toStartOfInterval(toDateTime(\1), INTERVAL 3600 second)", sql)


@pytest.mark.parametrize(("title", "sql"), panels(), ids=[title for title, _ in panels()])
def test_a_panel_of_the_dashboard_shows_the_shop(shop: ClickHouseWriter, title: str, sql: str) -> None:
    expanded = expand(sql)
    assert "$" not in expanded
    rows = shop.query(expanded)
    assert rows and any(value is not None for value in rows[0]), title

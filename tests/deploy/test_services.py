"""Which servers are used, and how clients are secured."""

import ssl
from pathlib import Path
from typing import Any

import faust
import pytest
from clickhouse_driver import Client

from deploy.local.stack import LocalStack
from deploy.services import Services, Warehouse, clickhouse_client_options, kafka_client_options, make_local_stack
from schemas.errors import Misconfigured
from schemas.settings import Settings

SASL: dict[str, Any] = {
    "KAFKA": "kafka:9093",
    "kafka_security_protocol": "SASL_SSL",
    "kafka_sasl_mechanism": "SCRAM-SHA-512",
    "kafka_username": "u",
    "kafka_password": "p:w",
}


def make_settings(**values: Any) -> Settings:
    return Settings(**values)


@pytest.fixture(autouse=True)
def no_settings_from_outside(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("KAFKA", "CLICKHOUSE", "JOURNEYS_KAFKA", "JOURNEYS_CLICKHOUSE"):
        monkeypatch.delenv(name, raising=False)


def test_named_servers_are_used_and_nothing_local_is_started(tmp_path: Path) -> None:
    url = "clickhouse://u:p@h:9000/"
    settings = make_settings(data_dir=tmp_path, KAFKA="a:1,b:2", CLICKHOUSE=url)
    services = Services.resolve(settings)
    assert services == Services("a:1,b:2", url, url, False, False)
    assert url not in repr(services)
    assert make_local_stack(settings) is None


def test_without_servers_the_error_says_how_to_get_them(tmp_path: Path) -> None:
    with pytest.raises(Misconfigured, match="no Kafka: start the local stack with `journeys up`, or.*JOURNEYS_KAFKA"):
        Services.resolve(make_settings(data_dir=tmp_path))
    with pytest.raises(Misconfigured, match="no ClickHouse: .*JOURNEYS_CLICKHOUSE"):
        Services.resolve(make_settings(data_dir=tmp_path, KAFKA="a:1"))


def test_clickhouse_alone_needs_no_kafka(tmp_path: Path) -> None:
    url = "clickhouse://u:p@h:9000/"
    warehouse = Warehouse.resolve(make_settings(data_dir=tmp_path, CLICKHOUSE=url))
    assert warehouse == Warehouse(url, url) and url not in repr(warehouse)
    for given in ({}, {"KAFKA": "a:1"}):
        with pytest.raises(Misconfigured, match="^no ClickHouse: .*`journeys up`, .*JOURNEYS_CLICKHOUSE"):
            Warehouse.resolve(make_settings(data_dir=tmp_path, **given))


@pytest.mark.integration
def test_the_running_stack_is_found_and_stands_in_for_what_is_not_named(stack: LocalStack) -> None:
    services = Services.resolve(make_settings(data_dir=stack.directory))
    assert services == Services(stack.kafka, stack.clickhouse_url, stack.analyst_url, True, True)
    mixed = Services.resolve(make_settings(data_dir=stack.directory, KAFKA="a:1"))
    assert (mixed.kafka, mixed.clickhouse_url) == ("a:1", stack.clickhouse_url)
    assert Warehouse.resolve(make_settings(data_dir=stack.directory)) == Warehouse(
        stack.clickhouse_url, stack.analyst_url
    )
    options = clickhouse_client_options(services.analyst_url, make_settings())
    with Client(**options) as client:
        assert client.execute("SELECT currentUser()") == [("analyst",)]


@pytest.mark.integration
def test_only_the_part_without_a_server_runs_locally(tmp_path: Path) -> None:
    stack = make_local_stack(make_settings(data_dir=tmp_path, CLICKHOUSE="clickhouse://h/"), kafka_port=0)
    assert stack is not None
    with stack:
        assert [status.name for status in stack.status()] == ["kafka"]


def test_sasl_over_tls_for_each_library() -> None:
    settings = make_settings(**SASL)
    for library in ("kafka-python", "aiokafka"):
        options = kafka_client_options(settings, library)
        context = options.pop("ssl_context")
        assert isinstance(context, ssl.SSLContext) and context.check_hostname
        assert options == {
            "security_protocol": "SASL_SSL",
            "sasl_mechanism": "SCRAM-SHA-512",
            "sasl_plain_username": "u",
            "sasl_plain_password": "p:w",
        }
    credentials = kafka_client_options(settings, "faust")["broker_credentials"]
    assert isinstance(credentials, faust.SASLCredentials)
    assert (credentials.protocol.value, credentials.mechanism.value) == ("SASL_SSL", "SCRAM-SHA-512")
    assert credentials.password == "p:w" and credentials.ssl_context is not None


def test_tls_alone_and_sasl_alone() -> None:
    tls = make_settings(KAFKA="k:1", kafka_security_protocol="SSL")
    assert set(kafka_client_options(tls, "aiokafka")) == {"security_protocol", "ssl_context"}
    assert kafka_client_options(tls, "faust")["broker_credentials"].protocol.value == "SSL"
    sasl = make_settings(**SASL | {"kafka_security_protocol": "SASL_PLAINTEXT"})
    assert "ssl_context" not in kafka_client_options(sasl, "kafka-python")
    assert kafka_client_options(sasl, "faust")["broker_credentials"].protocol.value == "SASL_PLAINTEXT"
    assert kafka_client_options(make_settings(), "kafka-python") == {}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"kafka_password": None}, "SASL_SSL also needs kafka_password"),
        ({"kafka_username": None, "kafka_sasl_mechanism": None}, "also needs kafka_sasl_mechanism, kafka_username"),
        ({"kafka_security_protocol": "PLAINTEXT"}, "kafka_password would not be used"),
        ({"kafka_security_protocol": "SASL_PLAINTEXT", "kafka_ca_file": "ca.pem"}, "kafka_ca_file would not be used"),
        ({"kafka_ca_file": "missing.pem"}, "kafka_ca_file=missing.pem cannot be used: No such file"),
        ({"KAFKA": None}, "needs a server: name it with JOURNEYS_KAFKA"),
    ],
)
def test_contradictory_kafka_settings_are_one_line(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(Misconfigured, match=message) as caught:
        kafka_client_options(make_settings(**SASL | changes), "aiokafka")
    assert "p:w" not in str(caught.value) and "\n" not in str(caught.value)


def test_a_ca_file_without_certificates_is_one_line(tmp_path: Path) -> None:
    empty = tmp_path / "ca.pem"
    empty.write_text("nothing\n")
    with pytest.raises(Misconfigured, match="no certificates in it"):
        kafka_client_options(make_settings(**SASL, kafka_ca_file=empty), "aiokafka")
    with pytest.raises(Misconfigured, match=r"clickhouse_ca_file=.*no certificates in it"):
        clickhouse_client_options("clickhouse://h/?secure=1", make_settings(clickhouse_ca_file=empty))


def test_clickhouse_urls_become_client_options() -> None:
    options = clickhouse_client_options(
        "clickhouse://u%40x:p%2Fw@h:9001/journeys?secure=1&connect_timeout=2", make_settings()
    )
    assert options == {
        "host": "h", "port": 9001, "user": "u@x", "password": "p/w", "database": "journeys", "secure": True,
        "connect_timeout": 2.0, "send_receive_timeout": 30, "compression": False,
    }  # fmt: skip


@pytest.mark.parametrize(
    "url",
    ["http://u:s3cret@h/", "u:s3cret@h:9000", "clickhouse://u:s3cret@/", "clickhouse://u:s3cret@h:port/",
     "clickhouse://u:s3cret@h:99999/", "clickhouse://u:s3cret@h/?secure=perhaps", "clickhouse://u:s3cret@h/?connect_timeout=x",
     "clickhouse://u:s3cret@[::1/", "clickhouse://u:s3cret@h/?ssl_version=NONE"],
)  # fmt: skip
def test_bad_clickhouse_urls_are_one_line_without_the_password(url: str) -> None:
    with pytest.raises(Misconfigured, match="expected clickhouse://") as caught:
        clickhouse_client_options(url, make_settings())
    assert "s3cret" not in str(caught.value)

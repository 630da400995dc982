"""Which Kafka and which ClickHouse are used, and how their clients connect."""

from __future__ import annotations

import ssl
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

from clickhouse_driver.util.helpers import parse_url

from deploy.local.stack import KafkaKind, LocalStack, StackAddresses, read_stack
from schemas.errors import Misconfigured
from schemas.settings import Settings

KafkaLibrary = Literal["kafka-python", "aiokafka", "faust"]

CONNECT_TIMEOUT_SECONDS = 5
SEND_RECEIVE_TIMEOUT_SECONDS = 30
HOW_TO_START = "start the local stack with `journeys up`"


@dataclass(frozen=True)
class Warehouse:
    """The address of ClickHouse alone, for whoever needs no Kafka; `analyst_url` is as of `Services`."""

    clickhouse_url: str = field(repr=False)
    analyst_url: str = field(repr=False)

    @classmethod
    def resolve(cls, settings: Settings) -> Warehouse:
        """Find the address. Raises `Misconfigured` when none is named and none runs locally."""
        return cls.among(settings, None if settings.clickhouse else read_stack(settings.data_dir))

    @classmethod
    def among(cls, settings: Settings, stack: StackAddresses | None) -> Warehouse:
        """The same, with the local stack that runs."""
        if settings.clickhouse:
            url = settings.clickhouse.get_secret_value()
            return cls(url, url)
        if stack is None or stack.clickhouse_url is None or stack.analyst_url is None:
            raise Misconfigured(f"no ClickHouse: {HOW_TO_START}, or name a server with JOURNEYS_CLICKHOUSE")
        return cls(stack.clickhouse_url, stack.analyst_url)


@dataclass(frozen=True)
class Services:
    """The addresses in use: existing servers where the settings name them, the running local stack for the rest.

    `analyst_url` is the read-only user's; an existing server has only the one user that the settings name.
    """

    kafka: str
    clickhouse_url: str = field(repr=False)
    analyst_url: str = field(repr=False)
    kafka_is_local: bool
    clickhouse_is_local: bool

    @classmethod
    def resolve(cls, settings: Settings) -> Services:
        """Find the addresses. Raises `Misconfigured` when a part is neither named nor running locally."""
        stack = None if settings.kafka and settings.clickhouse else read_stack(settings.data_dir)
        kafka = settings.kafka or (stack.kafka if stack else None)
        if kafka is None:
            raise Misconfigured(f"no Kafka: {HOW_TO_START}, or name a server with JOURNEYS_KAFKA")
        warehouse = Warehouse.among(settings, stack)
        urls = warehouse.clickhouse_url, warehouse.analyst_url
        return cls(kafka, *urls, not settings.kafka, not settings.clickhouse)


def make_local_stack(
    settings: Settings,
    *,
    kafka: KafkaKind = "memory",
    brokers: int = 1,
    kafka_port: int = 0,
    clickhouse_port: int = 0,
    clickhouse_http_port: int = 0,
) -> LocalStack | None:
    """Return the stack, not yet started, of the parts for which the settings name no server; None for no part."""
    if settings.kafka and settings.clickhouse:
        return None
    return LocalStack(
        settings.data_dir,
        kafka=kafka,
        brokers=brokers,
        kafka_port=kafka_port,
        clickhouse_port=clickhouse_port,
        clickhouse_http_port=clickhouse_http_port,
        run_kafka=not settings.kafka,
        run_clickhouse=not settings.clickhouse,
    )


def kafka_client_options(settings: Settings, library: KafkaLibrary) -> dict[str, Any]:
    """Return the keyword arguments that secure a connection to Kafka; the address is not among them.

    For `kafka-python` and `aiokafka` they go to any client's constructor, for `faust` to `App`. Empty for PLAINTEXT,
    and so for the local broker. Raises `Misconfigured` on settings that contradict each other or an unusable CA file.
    """
    _check_kafka_security(settings)
    protocol = settings.kafka_security_protocol
    if protocol == "PLAINTEXT":
        return {}
    context = _make_ssl_context(settings.kafka_ca_file, "kafka_ca_file") if protocol.endswith("SSL") else None
    if library == "faust":
        return {"broker_credentials": _make_faust_credentials(settings, context)}
    options: dict[str, Any] = {"security_protocol": protocol}
    if context is not None:
        options["ssl_context"] = context
    if protocol.startswith("SASL"):
        options["sasl_mechanism"] = settings.kafka_sasl_mechanism
        options["sasl_plain_username"] = settings.kafka_username
        options["sasl_plain_password"] = _secret(settings)
    return options


def clickhouse_client_options(url: str, settings: Settings) -> dict[str, Any]:
    """Turn a `clickhouse://` (or `clickhouses://`) URL into keyword arguments of `clickhouse_driver.Client`.

    Query parameters of the URL win over the defaults here. Raises `Misconfigured`, without quoting the password, on a
    URL that is none, a bad parameter or an unusable CA file.
    """
    host, options = _parse_clickhouse_url(url)
    defaults: dict[str, Any] = {
        "connect_timeout": CONNECT_TIMEOUT_SECONDS,
        "send_receive_timeout": SEND_RECEIVE_TIMEOUT_SECONDS,
        "compression": False,
    }
    if settings.clickhouse_ca_file is not None and options.get("secure"):
        _make_ssl_context(settings.clickhouse_ca_file, "clickhouse_ca_file")
        defaults["ca_certs"] = str(settings.clickhouse_ca_file)
    return {**defaults, **options, "host": host}


def _parse_clickhouse_url(url: str) -> tuple[str, dict[str, Any]]:
    form = "expected clickhouse://user:password@host:9000/ with ?secure=1 for TLS"
    try:
        if urlsplit(url).scheme not in ("clickhouse", "clickhouses"):
            raise Misconfigured(f"the ClickHouse address has the wrong scheme: {form}")
        host, options = parse_url(url)
    except (ValueError, AttributeError, IndexError) as error:
        # The error's own words may quote the address, and with it the password.
        raise Misconfigured(f"the ClickHouse address has a bad port or parameter: {form}") from error
    if not host:
        raise Misconfigured(f"the ClickHouse address names no host: {form}")
    return host, options


def _check_kafka_security(settings: Settings) -> None:
    protocol = settings.kafka_security_protocol
    sasl = {
        "kafka_sasl_mechanism": settings.kafka_sasl_mechanism,
        "kafka_username": settings.kafka_username,
        "kafka_password": _secret(settings),
    }
    missing = [name for name, value in sasl.items() if not value]
    given = [name for name, value in sasl.items() if value]
    if protocol.startswith("SASL") and missing:
        raise Misconfigured(f"kafka_security_protocol={protocol} also needs {', '.join(missing)}")
    if not protocol.startswith("SASL") and given:
        raise Misconfigured(
            f"{', '.join(given)} would not be used with kafka_security_protocol={protocol}: use SASL_SSL"
        )
    if not protocol.endswith("SSL") and settings.kafka_ca_file is not None:
        raise Misconfigured(
            f"kafka_ca_file would not be used with kafka_security_protocol={protocol}: use SSL or SASL_SSL"
        )
    if protocol != "PLAINTEXT" and not settings.kafka:
        raise Misconfigured(f"kafka_security_protocol={protocol} needs a server: name it with JOURNEYS_KAFKA")


def _secret(settings: Settings) -> str | None:
    return settings.kafka_password.get_secret_value() if settings.kafka_password else None


def _make_ssl_context(ca_file: Path | None, setting: str) -> ssl.SSLContext:
    try:
        return ssl.create_default_context(cafile=None if ca_file is None else str(ca_file))
    except OSError as error:
        reason = "no certificates in it" if isinstance(error, ssl.SSLError) else error.strerror
        raise Misconfigured(f"{setting}={ca_file} cannot be used: {reason}") from error


def _make_faust_credentials(settings: Settings, context: ssl.SSLContext | None) -> Any:
    import faust

    if settings.kafka_security_protocol == "SSL":
        return faust.SSLCredentials(context)
    return faust.SASLCredentials(
        username=settings.kafka_username,
        password=_secret(settings),
        ssl_context=context,
        mechanism=settings.kafka_sasl_mechanism,
    )

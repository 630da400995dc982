"""Every setting, in one place: environment `JOURNEYS_…`, then `journeys.toml`, then these defaults."""

from __future__ import annotations

import re
from datetime import timedelta
from pathlib import Path
from typing import Literal

from pydantic import AliasChoices, Field, SecretStr, field_validator, model_validator
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict, TomlConfigSettingsSource

from schemas.durations import Duration
from schemas.identifiers import KINDS
from schemas.links import MOST_OWNERS_KEPT

MOST_PROCESSES = 64
KEY_ID = re.compile("^[a-z0-9]{1,16}$")

SecurityProtocol = Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"]
SaslMechanism = Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"]
SpoolFsync = Literal["always", "interval", "never"]


def _alias(name: str) -> AliasChoices:
    return AliasChoices(f"JOURNEYS_{name}", name, name.lower())


class Settings(BaseSettings):
    """What a command or the worker was told. Secrets print as `**********`.

    Durations are written `90s`, `30m`, `14d` or ISO 8601. Raises `pydantic.ValidationError` on a bad value.
    """

    model_config = SettingsConfigDict(
        env_prefix="JOURNEYS_", toml_file="journeys.toml", extra="forbid", frozen=True, hide_input_in_errors=True
    )

    data_dir: Path = Field(default=Path(".journeys"), description="directory of the local stack: data, logs, secrets")

    kafka: str | None = Field(
        default=None,
        validation_alias=_alias("KAFKA"),
        description="existing Kafka servers, `host:port,…`; without it a local broker is used",
    )
    kafka_security_protocol: SecurityProtocol = "PLAINTEXT"
    kafka_sasl_mechanism: SaslMechanism | None = None
    kafka_username: str | None = None
    kafka_password: SecretStr | None = None
    kafka_ca_file: Path | None = None

    clickhouse: SecretStr | None = Field(
        default=None,
        validation_alias=_alias("CLICKHOUSE"),
        description="existing ClickHouse server, `clickhouse://user:password@host:9000/?secure=1`; else a local one",
    )
    clickhouse_ca_file: Path | None = None

    partitions: int = Field(
        default=4, ge=1, le=1024, description="partitions of the touchpoint topics, when they are created"
    )
    consumer_group: str = Field(default="journeys", min_length=1, description="consumer group of the workers")

    journey_gap: Duration = Field(default=timedelta(days=14), description="silence that ends a journey")
    journey_max_gap: Duration = Field(
        default=timedelta(days=90), description="silence that ends it though a promise is open"
    )
    allowed_lateness: Duration = Field(
        default=timedelta(days=7), description="how long a closed journey can be reopened"
    )
    hold_open_for_promises: bool = Field(default=True, description="an open promise keeps its journey open")
    live_within: Duration = Field(
        default=timedelta(hours=24), description="nearer than this to now, a partition runs on the clock"
    )

    oldest_touchpoint: Duration = Field(
        default=timedelta(days=365), description="older touchpoints are refused (replay is not)"
    )
    furthest_ahead: Duration = Field(
        default=timedelta(minutes=5), description="touchpoints further in the future are refused"
    )
    clock_skew_bound: Duration = Field(
        default=timedelta(seconds=60), description="a sender's clock this far off is corrected"
    )
    max_touchpoint_bytes: int = Field(default=262_144, ge=1_024, description="larger records are refused")
    dead_letter_ratio: float = Field(
        default=0.5,
        ge=0,
        le=1,
        description="a worker stops when more of a partition's last 1,000 records are refused; 0: never",
    )
    dead_letter_consecutive: int = Field(
        default=500, ge=0, le=1_000_000, description="a worker stops when more records in a row are refused; 0: never"
    )

    spool_dir: Path | None = Field(
        default=None, description="directory where `emit` and `replay` keep what the broker has not taken yet"
    )
    spool_bytes: int = Field(
        default=1_073_741_824, ge=1_048_576, description="what a spool may take up; beyond it nothing is accepted"
    )
    spool_fsync: SpoolFsync = Field(
        default="interval",
        description="spooled records outlast a loss of power: `always` at once, `interval` after 0.5 s, or `never`",
    )

    identifier_key: SecretStr | None = Field(default=None, description="secret key that pseudonymises e-mail and phone")
    identifier_key_id: str = Field(
        default="k1", pattern=KEY_ID.pattern, description="name of that key, stored with values"
    )
    identifier_previous_keys: dict[str, SecretStr] = Field(
        default={}, description='keys used before, by name, so that `forget` finds what they hid; `{"k0": "secret"}`'
    )
    default_region: str = Field(
        default="IL", pattern=r"^[A-Z]{2}$", description="country of phone numbers without a prefix"
    )

    identity_window: Duration = Field(
        default=timedelta(days=30), description="over which the owners of an identifier are counted"
    )
    identity_limits: dict[str, int] = Field(
        default={},
        description='with how many owners in a window an identifier still links, by kind; `{"device_id": 2}`',
    )
    identity_unique: list[str] = Field(
        default=["loyalty_id", "phone", "email"],
        description="kinds that one person has for himself: a second owner is a conflict",
    )
    identity_nobody: list[str] = Field(
        default=[],
        description='values that never link, besides what is always a placeholder; `["till-7", "walk-in"]`',
    )
    identity_moves: int = Field(
        default=2_000, ge=1, description="identifiers of a partition whose history is moved in one flush"
    )

    rules_dir: Path | None = Field(
        default=None, description="directory of rule files and calendars of one's own, read after the shipped ones"
    )

    flush_interval: Duration = Field(
        default=timedelta(seconds=1), description="how often results are written to ClickHouse"
    )
    backlog_flush_interval: Duration = Field(
        default=timedelta(seconds=4), description="how often, at the latest, while a worker catches up with its topic"
    )
    flush_rows: int = Field(default=100_000, ge=1, description="touchpoints that make a flush due at once")
    buffer_rows: int = Field(
        default=200_000, ge=1, description="unwritten touchpoints at which a worker process stops reading"
    )
    chunk_records: int = Field(default=4_000, ge=1, le=50_000, description="records fetched and processed at a time")
    hot_customers: int = Field(
        default=40_000, ge=0, description="customers that each worker process keeps unpacked in memory, for speed"
    )
    session_timeout: Duration = Field(
        default=timedelta(seconds=10), description="after which a dead worker's partitions move"
    )
    worker_processes: int = Field(
        default=1,
        ge=0,
        le=MOST_PROCESSES,
        description="processes of one `journeys worker`, each with limits of its own; 0 is one per usable core",
    )
    worker_notes_dir: Path | None = Field(
        default=None,
        description="where a worker notes its address of /metrics, else `workers` in the data directory; "
        "given by the parent of several processes",
    )
    metrics_port: int = Field(
        default=9464, ge=0, le=65535, description="port of /metrics on the worker; 0 picks a free one"
    )
    metrics_host: str = "127.0.0.1"

    @field_validator("identity_limits", "identity_unique")
    @classmethod
    def _check_kinds(cls, kinds: dict[str, int] | list[str]) -> dict[str, int] | list[str]:
        for kind in kinds:
            if kind not in KINDS[1:]:
                raise ValueError(f"{kind!r} is none of {', '.join(KINDS[1:])}")
        return kinds

    @field_validator("identity_limits")
    @classmethod
    def _check_limits(cls, limits: dict[str, int]) -> dict[str, int]:
        for kind, most in limits.items():
            if not 1 <= most <= MOST_OWNERS_KEPT:
                raise ValueError(f"{kind}: 1 to {MOST_OWNERS_KEPT}")
        return limits

    @model_validator(mode="after")
    def _check_previous_keys(self) -> Settings:
        for name, key in self.identifier_previous_keys.items():
            if not KEY_ID.fullmatch(name):
                raise ValueError(f"identifier_previous_keys: {name!r} is no name of a key: a-z and 0-9, at most 16")
            if not key.get_secret_value():
                raise ValueError(f"identifier_previous_keys: the key {name!r} is empty")
            if name == self.identifier_key_id:
                raise ValueError(f"identifier_previous_keys: {name!r} is the name of the key in use")
        return self

    @model_validator(mode="after")
    def _check_gaps(self) -> Settings:
        for name in ("journey_gap", "flush_interval", "backlog_flush_interval", "session_timeout", "identity_window"):
            if not getattr(self, name):
                raise ValueError(f"{name} must be longer than nothing")
        if self.journey_max_gap < self.journey_gap:
            raise ValueError("journey_max_gap must not be shorter than journey_gap")
        if self.buffer_rows < self.flush_rows:
            raise ValueError("buffer_rows must not be smaller than flush_rows")
        return self

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Read keyword arguments first, then the environment, then `journeys.toml`."""
        return init_settings, env_settings, TomlConfigSettingsSource(settings_cls)

"""The local ClickHouse server: its configuration, its users, its process.

Users come from `users.xml` alone: the embedded engine ignores `user_directories`, so `CREATE USER` cannot work.

- `journeys` writes and administers.
- `analyst` reads the database `analytics` and nothing else. Views over base tables must be made with
  `DEFINER = journeys SQL SECURITY DEFINER`; then it needs no right on the tables beneath.
- `default` is whom the engine starts its own session as. It has no password, cannot be given one, and its single
  session is taken from the start: ClickHouse refuses every connection as `default`.
"""

from __future__ import annotations

import hashlib
import sys
import xml.etree.ElementTree as ElementTree
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Union

from deploy.local import clickhouse_server
from deploy.local.ports import HOST, is_open
from deploy.local.secrets import write_private
from deploy.local.supervisor import ProcessSpec
from schemas.errors import Misconfigured

NAME = "clickhouse"
WRITER = "journeys"
ANALYST = "analyst"

MEBIBYTE = 1024 * 1024
ANALYST_MAX_SECONDS = 60
ANALYST_MAX_MEMORY_BYTES = 2048 * MEBIBYTE
ANALYST_MAX_RESULT_ROWS = 1_000_000

Tree = Mapping[str, Union[str, int, float, "Tree", list[str]]]


def clickhouse_spec(
    directory: Path, log_directory: Path, port: int, http_port: int, passwords: Mapping[str, str]
) -> ProcessSpec:
    """Write the server's configuration into `directory` and describe its process.

    Raises `Misconfigured` when the wheel is not installed.
    """
    if find_spec("chdb") is None:
        raise Misconfigured(
            "the local ClickHouse is not installed: install journeys[local], or point JOURNEYS_CLICKHOUSE at a server"
        )
    (directory / "data").mkdir(parents=True, exist_ok=True)
    write_private(directory / "config.xml", render(server_settings(log_directory, port, http_port)))
    write_private(directory / "users.xml", render(user_settings(passwords)))
    return ProcessSpec(
        name=NAME,
        command=(sys.executable, "-I", clickhouse_server.__file__, str(directory)),
        directory=directory,
        is_healthy=lambda: answers_select(port, WRITER, passwords[WRITER]) and is_open(http_port),
    )


def answers_select(port: int, user: str, password: str, timeout_seconds: float = 2.0) -> bool:
    """Tell whether `SELECT 1` over the native protocol is answered."""
    if not is_open(port):
        return False
    from clickhouse_driver import Client
    from clickhouse_driver.errors import Error

    client = Client(
        HOST,
        port=port,
        user=user,
        password=password,
        connect_timeout=timeout_seconds,
        send_receive_timeout=timeout_seconds,
        sync_request_timeout=timeout_seconds,
    )
    try:
        return bool(client.execute("SELECT 1") == [(1,)])
    except (Error, OSError, EOFError):
        return False
    finally:
        client.disconnect()


def server_settings(log_directory: Path, port: int, http_port: int) -> Tree:
    """Return `config.xml` as a tree: a server that leaves a laptop with two cores room for everything else."""
    return {
        # The embedded engine takes the level from here and ignores the logger's own.
        "log-level": "information",
        "logger": {
            "log": str(log_directory / "clickhouse-server.log"),
            "errorlog": str(log_directory / "clickhouse-server.err.log"),
            "size": "10M",
            "count": 3,
        },
        "listen_host": HOST,
        "tcp_port": port,
        "http_port": http_port,
        "users_config": "users.xml",
        "mlock_executable": "false",
        "max_server_memory_usage_to_ram_ratio": 0.5,
        # These are upper bounds, filled by use; the shipped ones are gigabytes each.
        "mark_cache_size": 128 * MEBIBYTE,
        "primary_index_cache_size": 128 * MEBIBYTE,
        "index_mark_cache_size": 64 * MEBIBYTE,
        "vector_similarity_index_cache_size": MEBIBYTE,
        "text_index_tokens_cache_size": MEBIBYTE,
        "text_index_header_cache_size": MEBIBYTE,
        "text_index_postings_cache_size": MEBIBYTE,
        "parquet_metadata_cache_size": MEBIBYTE,
        "paimon_metadata_files_cache_size": MEBIBYTE,
        "iceberg_metadata_files_cache_size": MEBIBYTE,
        "background_pool_size": 2,
        "background_schedule_pool_size": 4,
        "background_common_pool_size": 2,
    }


def user_settings(passwords: Mapping[str, str]) -> Tree:
    """Return `users.xml` as a tree; passwords go in as SHA-256, and all three users connect from this machine only."""
    return {
        "profiles": {
            "default": {},
            "engine": _engine_profile(),
            "writer": _writer_profile(),
            "reader": _reader_profile(),
        },
        "quotas": {"default": {}},
        "users": {
            "default": _user("engine")
            | {"no_password": "", "grants": _grants("SYSTEM LISTEN ON *.*", "SELECT ON system.numbers")},
            WRITER: _user("writer", passwords[WRITER]) | {"access_management": 1},
            ANALYST: _user("reader", passwords[ANALYST]) | {"grants": _grants("SELECT ON analytics.*")},
        },
    }


def _user(profile: str, password: str | None = None) -> dict[str, Tree | str]:
    user: dict[str, Tree | str] = {"networks": {"ip": HOST}, "profile": profile, "quota": "default"}
    if password is not None:
        user["password_sha256_hex"] = hashlib.sha256(password.encode()).hexdigest()
    return user


def _grants(*grants: str) -> Tree:
    return {"query": [f"GRANT {grant}" for grant in grants]}


def _engine_profile() -> Tree:
    return {
        "max_sessions_for_user": 1,
        "max_block_size": 1,
        "function_sleep_max_microseconds_per_block": 10**11,
    }


def _writer_profile() -> Tree:
    # An insert that is confirmed is in its table: nothing waits in a buffer that a kill would empty.
    return {"async_insert": 0, "implicit_select": 0}


def _reader_profile() -> Tree:
    """readonly=2 rather than 1: drivers and HTTP clients may send settings of their own, up to the bounds."""
    bounds = {
        "max_execution_time": ANALYST_MAX_SECONDS,
        "max_memory_usage": ANALYST_MAX_MEMORY_BYTES,
        "max_result_rows": ANALYST_MAX_RESULT_ROWS,
        "max_concurrent_queries_for_user": 8,
    }
    held = ("result_overflow_mode", "timeout_overflow_mode", "implicit_select")
    return {
        "readonly": 2,
        **bounds,
        # A cut-off result would look like a whole one.
        "result_overflow_mode": "throw",
        "timeout_overflow_mode": "throw",
        "implicit_select": 0,
        "constraints": {
            **{setting: {"min": 1, "max": bound} for setting, bound in bounds.items()},
            **{setting: {"const": ""} for setting in held},
        },
    }


def render(tree: Tree) -> str:
    """Turn a tree into ClickHouse's XML; a list repeats its element."""
    root = ElementTree.Element("clickhouse")
    _append(root, tree)
    ElementTree.indent(root)
    return ElementTree.tostring(root, encoding="unicode") + "\n"


def _append(parent: ElementTree.Element, tree: Tree) -> None:
    for name, value in tree.items():
        for item in value if isinstance(value, list) else [value]:
            element = ElementTree.SubElement(parent, name)
            if isinstance(item, Mapping):
                _append(element, item)
            else:
                element.text = str(item)

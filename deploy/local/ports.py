"""Ports of 127.0.0.1: whether one is free, and how to find a free one."""

from __future__ import annotations

import random
import socket
from collections.abc import Mapping

from schemas.errors import Misconfigured

HOST = "127.0.0.1"
# Below the range from which Linux takes the near ends of outgoing connections: a server that is restarted finds its
# port free however many clients are trying to reach it.
FREE_PORTS = range(15_000, 32_000)


def is_free(port: int) -> bool:
    """Tell whether a server could listen on this port now."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
    return True


def is_open(port: int, timeout_seconds: float = 1.0) -> bool:
    """Tell whether something accepts connections on this port."""
    try:
        socket.create_connection((HOST, port), timeout=timeout_seconds).close()
    except OSError:
        return False
    return True


def choose_ports(wanted: Mapping[str, int]) -> dict[str, int]:
    """Turn wanted ports by the name of their setting into ports to use; 0 means any free one.

    Raises `Misconfigured`, naming port and setting, when a wanted port is taken, out of range or wanted twice.
    """
    chosen: dict[str, int] = {}
    for setting, port in sorted(wanted.items(), key=lambda item: item[1] == 0):
        if port:
            _check(setting, port, chosen)
        chosen[setting] = port or _find_free(set(chosen.values()))
    return chosen


def _check(setting: str, port: int, chosen: Mapping[str, int]) -> None:
    if not 1 <= port <= 65_535:
        raise Misconfigured(f"{setting}={port} is no port: choose one from 1 to 65535, or 0 for any free one")
    for other, taken in chosen.items():
        if taken == port:
            raise Misconfigured(f"{setting} and {other} are both {port}: give each a port of its own, or 0")
    if not is_free(port):
        raise Misconfigured(
            f"port {port} of {HOST} ({setting}) cannot be used, something else may be listening there: "
            f"choose another {setting}, or 0 for any free one"
        )


def _find_free(taken: set[int]) -> int:
    for port in random.sample(FREE_PORTS, 200):
        if port not in taken and is_free(port):
            return port
    raise Misconfigured(f"found no free port of {HOST} from {FREE_PORTS.start} to {FREE_PORTS.stop - 1}")

"""Run by tests in a process of its own, to be killed on the way: it tracks, or replays, through a spool."""

import sys
from itertools import count
from pathlib import Path

from producers.client import Client
from producers.replay import ReplayOptions, replay_file
from producers.spool import KafkaReach, Spool
from producers.spool_drain import Timing
from tests.producers.broker_double import BrokerDouble

TIMING = Timing(answer_seconds=1.0, longest_backoff_seconds=0.5)


def track(servers: str, directory: str) -> None:
    """Track without end, and print the id of each touchpoint once it is accepted."""
    reach = KafkaReach(lambda: {"bootstrap_servers": servers})
    client = Client.through(Spool(Path(directory), reach, timing=TIMING))
    for number in count():
        identifiers = {"customer_id": f"C-{number % 5}"}
        print(client.track("kiosk", source="web", identifiers=identifiers, event_id=f"e-{number}"), flush=True)


def replay(path: str, directory: str) -> None:
    """Replay a file with no broker there, slowly and with many checkpoints."""
    options = ReplayOptions(speed=400.0, checkpoint_seconds=0.05)
    with Client.through(Spool(Path(directory), BrokerDouble("down").reach)) as client:
        replay_file(Path(path), client, options=options)


if __name__ == "__main__":
    {"track": track, "replay": replay}[sys.argv[1]](*sys.argv[2:])

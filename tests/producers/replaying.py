"""Run by tests in a process of its own: replays a file, slowly enough to be stopped on the way."""

import sys
from pathlib import Path

from producers.client import Client
from producers.emitters import KafkaEmitter, MemoryEmitter
from producers.replay import Position, ReplayOptions, replay_file


def main(servers: str, path: str) -> None:
    """Replay to these servers with many checkpoints, or to `memory` with none on the way; say how it ended."""
    memory = servers == "memory"
    emitter = MemoryEmitter() if memory else KafkaEmitter({"bootstrap_servers": servers})
    options = ReplayOptions(speed=400.0, checkpoint_seconds=3600.0 if memory else 0.05)
    with Client(emitter) as client:
        summary = replay_file(Path(path), client, options=options, observe=report_tenth)
    print(summary.resumed_after_line, summary.line, summary.delivered, flush=True)


def report_tenth(position: Position) -> None:
    """Let the test know that it is under way."""
    if position.rows == 10:
        print("under way", file=sys.stderr, flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])

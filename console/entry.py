"""The door of `journeys`: loading what every command needs takes a third of a second, in which Ctrl-C may come."""

from __future__ import annotations

import sys

INTERRUPTED = 130


def main() -> None:
    """Run the command line."""
    try:
        from console.cli import main as run
    except KeyboardInterrupt:
        print("journeys: stopped before the end", file=sys.stderr)
        sys.exit(INTERRUPTED)
    run()

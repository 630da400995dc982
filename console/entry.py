"""The door of `journeys`: loading what every command needs takes a third of a second, in which Ctrl-C may come."""

from __future__ import annotations

import sys

INTERRUPTED, STOPPED = 130, "stopped before the end"


def main() -> None:
    """Run the command line."""
    try:
        from console.cli import main as run
    except KeyboardInterrupt:
        print(f"journeys: {STOPPED}", file=sys.stderr)
        sys.exit(INTERRUPTED)
    run()

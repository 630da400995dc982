"""`journeys worker`, of as many processes as the environment says: `python -m tests.integration.group_process`."""

from __future__ import annotations

from console.cli import main

if __name__ == "__main__":
    main(["worker"])

"""A worker of a release that reads one version more: `python -m tests.integration.upgraded_process`."""

from __future__ import annotations

from schemas.touchpoint import READ_VERSIONS
from tests.integration.worker_process import main

NEXT_VERSION = max(READ_VERSIONS) + 1
UPGRADED_VERSIONS = READ_VERSIONS | {NEXT_VERSION}

if __name__ == "__main__":
    main(UPGRADED_VERSIONS)

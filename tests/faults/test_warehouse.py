"""As `make test` does in small: everything delivered twice, many kills, and all of `analytics` as if once."""

from pathlib import Path

import pytest

from tests.faults.conftest import ROUNDS
from tests.integration.test_whole_warehouse import hold_against_once

pytestmark = [pytest.mark.faults, pytest.mark.timeout(400)]


def test_twice_and_killed_it_is_the_same_as_once(tmp_path: Path) -> None:
    """One long run, however many rounds there are; each number of rounds is another seed."""
    hold_against_once(tmp_path, ROUNDS, customers=300, touchpoints=6_000, bursts=3)

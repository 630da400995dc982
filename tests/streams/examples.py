"""How far hypothesis looks: all the way in `make test-faults`, a third of it in `make test`, which has to be quick."""

from __future__ import annotations

import os

from hypothesis import settings

QUICK_SHARE = 3


def search(examples: int) -> settings:
    """Settings for a property that takes long: so many examples, or the quick share of them."""
    share = 1 if os.environ.get("FAULT_ROUNDS") else QUICK_SHARE
    return settings(max_examples=examples // share, deadline=None)

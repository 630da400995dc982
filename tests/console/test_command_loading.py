"""A command loads itself and nothing that takes long before it is needed."""

import subprocess
import sys

from console.command_loading import NAMES
from tests.console.running import ROOT, environment, journeys, one_line

SLOW = {"aiokafka", "faust", "matplotlib", "pandas", "prompt_toolkit", "pyarrow", "rule_engine", "streams.worker"}


def loaded_by(names: tuple[str, ...]) -> set[str]:
    """The modules that are there once these commands are loaded."""
    code = (
        f"import sys\nfrom console.command_loading import load\nfor name in {names!r}: load(name)\nprint(*sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, env=environment(), capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    return set(done.stdout.split())


def test_no_command_begins_with_what_takes_long() -> None:
    assert not SLOW & loaded_by(NAMES)


def test_a_command_loads_no_other() -> None:
    found = {each for each in loaded_by(("status",)) if each.startswith("console.commands.")}
    assert found == {"console.commands.status"}


def test_a_misspelt_command_is_put_right() -> None:
    done = journeys("statsu", cwd=ROOT)
    assert done.returncode == 2 and "Did you mean 'status'?" in one_line(done.stderr)

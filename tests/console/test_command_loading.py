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
    assert not SLOW & loaded_by(tuple(NAMES))


def test_a_command_loads_no_other() -> None:
    found = {each for each in loaded_by(("status",)) if each.startswith("console.commands.")}
    assert found == {"console.commands.status"}


def test_a_name_is_completed_with_what_the_command_is_for_and_none_is_loaded() -> None:
    assert all(len(text) <= 45 for text in NAMES.values())
    asked = {**environment(), "_JOURNEYS_COMPLETE": "complete_zsh", "_TYPER_COMPLETE_ARGS": "journeys re"}
    code = "import sys\nfrom console.cli import main\ntry: main()\nfinally: print(*sys.modules, file=sys.stderr)"
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, cwd=ROOT, env=asked, capture_output=True, text=True, timeout=60)
    offered = [line.split('"')[1] for line in done.stdout.splitlines()]
    assert offered == ["replay", "reconcile", "rebuild", "report"], done.stderr
    assert '"send files of touchpoints"' in done.stdout and "console.commands" not in done.stderr.split()


def test_a_misspelt_command_is_put_right() -> None:
    done = journeys("statsu", cwd=ROOT)
    assert done.returncode == 2 and "Did you mean 'status'?" in one_line(done.stderr)

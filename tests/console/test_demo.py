"""The demo to its end, as `make demo ARGS=--once` runs it."""

import re
from pathlib import Path

import psutil
import pytest

from tests.console.running import COMMAND, journeys

pytestmark = [pytest.mark.integration, pytest.mark.timeout(360)]
RULES = ("broken_promise", "long_wait", "repeat_contact")


def leftovers(directory: Path) -> list[str]:
    """Processes that work in or on a directory."""
    found = []
    for process in psutil.process_iter(["cmdline", "cwd"]):
        words = " ".join(process.info["cmdline"] or ())
        if str(directory) in words or str(directory) in (process.info["cwd"] or ""):
            found.append(words)
    return found


def test_the_demo_shows_what_it_promises_and_leaves_nothing_behind(tmp_path: Path) -> None:
    done = journeys("--data-dir", "data", "demo", "--once", "--customers", "1500", cwd=tmp_path, seconds=150)
    assert (done.returncode, done.stderr) == (0, ""), done.stdout[-3000:] + done.stderr
    assert "\x1b" not in done.stdout
    last = re.findall(r"^sent ([\d,]+)  stored ([\d,]+)  journeys ([\d,]+) .*", done.stdout, re.MULTILINE)[-1]
    sent, stored, stitched = (int(number.replace(",", "")) for number in last)
    assert sent == stored > 1_000 and stitched > 100
    shown = done.stdout.split("Alerts, newest first")[1]
    assert all(re.search(rf"^ {rule} +\d+", shown, re.MULTILINE) for rule in RULES)
    assert "▲ ALERT" in shown.split("The journey of customer")[1]
    assert shown.count(f'{" ".join(("python", *COMMAND[1:]))} --data-dir data sql "SELECT') == 3
    assert done.stdout.endswith("everything is stopped\n")
    assert leftovers(tmp_path) == []

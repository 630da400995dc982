"""`journeys emit` and `journeys replay` with a spool and no broker: what they say, and what they exit with."""

import json
import subprocess
from pathlib import Path

import pytest

from deploy.local.stack import LocalStack
from producers.topics import create_topics
from schemas.topics import TOUCHPOINTS
from tests.console.running import COMMAND, environment, journeys, one_line, wait_until
from tests.faults.checker import read_topic

# Nothing is started there, so that no broker can be found, and nothing is waited for.
NO_STACK = {"JOURNEYS_DATA_DIR": "none"}


def line(number: int) -> str:
    touchpoint = {
        "event_id": f"e-{number}", "source": "web", "type": "kiosk", "occurred_at": "2026-01-01T00:00:00Z",
        "identifiers": {"customer_id": "C-1"},
    }  # fmt: skip
    return json.dumps(touchpoint) + "\n"


@pytest.mark.integration
def test_without_a_broker_lines_are_spooled_and_the_next_one_sends_them(tmp_path: Path) -> None:
    spooled = journeys("emit", "--history", "--spool", "sp", cwd=tmp_path, stdin=line(1) + line(2), changed=NO_STACK)
    assert spooled.stdout == "0 delivered, 2 spooled, 0 refused, 0 not delivered\n" and spooled.returncode == 0
    told = one_line(spooled.stderr)
    assert told.startswith("2 records lie in the spool sp, the oldest for ") and "emit --spool sp --drain`" in told
    assert "(no Kafka: start the local stack" in told
    (tmp_path / "in.ndjson").write_text(line(3) + line(4))
    by_setting = {**NO_STACK, "JOURNEYS_SPOOL_DIR": "sp"}
    replayed = journeys("replay", "in.ndjson", "--json", cwd=tmp_path, changed=by_setting)
    summary = json.loads(replayed.stdout)
    assert (summary["delivered"], summary["spooled"], summary["line"], replayed.returncode) == (0, 2, 2, 0)
    assert "4 records lie in the spool sp" in one_line(replayed.stderr)
    with LocalStack(tmp_path / "stack", run_clickhouse=False) as stack:
        create_topics({"bootstrap_servers": stack.kafka}, 2)
        up = {"JOURNEYS_KAFKA": stack.kafka, "JOURNEYS_CLICKHOUSE": "clickhouse://nobody@127.0.0.1:1/"}
        drained = journeys("emit", "--drain", "--spool", "sp", "--json", cwd=tmp_path, changed=up)
        assert json.loads(drained.stdout) == {"delivered": 4, "in_spool": 0}
        assert (drained.returncode, drained.stderr) == (0, "")
        sent = journeys("emit", "--history", "--spool", "sp", "--json", cwd=tmp_path, stdin=line(5), changed=up)
        told_json = {"delivered": 1, "spooled": 0, "refused": 0, "undelivered": 0, "reasons": {}, "in_spool": 0}
        assert (json.loads(sent.stdout), sent.returncode, sent.stderr) == (told_json, 0, "")


@pytest.mark.integration
def test_an_emit_that_is_killed_leaves_whole_records_in_order_and_again_gives_all(tmp_path: Path) -> None:
    lines = "".join(line(number) for number in range(4_000))
    command = [*COMMAND, "emit", "--history", "--spool", "sp"]
    with subprocess.Popen(
        command, cwd=tmp_path, stdin=subprocess.PIPE, stderr=subprocess.DEVNULL, env=environment(**NO_STACK), text=True
    ) as killed:
        assert killed.stdin is not None
        killed.stdin.write(lines)
        killed.stdin.flush()
        wait_until(lambda: sum(path.stat().st_size for path in tmp_path.glob("sp/*")) > len(lines) // 4)
        killed.kill()
    with LocalStack(tmp_path / "stack", run_clickhouse=False) as stack:
        kafka = {"bootstrap_servers": stack.kafka}
        create_topics(kafka, 1)
        up = {"JOURNEYS_KAFKA": stack.kafka, "JOURNEYS_CLICKHOUSE": "clickhouse://nobody@127.0.0.1:1/"}
        drained = journeys("emit", "--drain", "--spool", "sp", "--json", cwd=tmp_path, changed=up)
        count = json.loads(drained.stdout)["delivered"]
        assert drained.returncode == 0 and 0 < count <= 4_000
        assert sent_numbers(kafka) == list(range(count))
        again = journeys("emit", "--history", "--spool", "sp", "--json", cwd=tmp_path, stdin=lines, changed=up)
        assert json.loads(again.stdout)["delivered"] == 4_000
        assert sent_numbers(kafka) == [*range(count), *range(4_000)]


def sent_numbers(kafka: dict[str, str]) -> list[int]:
    """The numbers of the lines that the topic holds, in order."""
    values = [json.loads(record.value or b"") for record in read_topic(kafka, TOUCHPOINTS, 1)]
    return [int(value["event_id"].removeprefix("e-")) for value in values]


def test_a_spool_that_is_none_or_in_use_is_told_in_one_line(tmp_path: Path) -> None:
    for arguments, told, code in (
        (("--drain",), "which spool? name its directory with --spool", 1),
        (("--drain", "--spool", "none", "in.ndjson"), "--drain reads nothing", 2),
        (("--spool", "/dev/null/spool"), "cannot be used: Not a directory", 1),
    ):
        done = journeys("emit", *arguments, cwd=tmp_path, changed=NO_STACK)
        assert done.returncode == code and told in done.stderr and "Traceback" not in done.stderr


def test_a_full_spool_says_which_line_it_did_not_take(tmp_path: Path) -> None:
    big = json.loads(line(1))
    big["properties"] = {"x": "x" * 200_000}
    small = {**NO_STACK, "JOURNEYS_SPOOL_BYTES": "1048576"}
    lines = "".join(json.dumps({**big, "event_id": f"e-{number}"}) + "\n" for number in range(9))
    done = journeys("emit", "--history", "--spool", "sp", cwd=tmp_path, stdin=lines, changed=small)
    assert done.returncode == 1 and done.stdout.startswith("0 delivered, 5 spooled, ")
    assert "line 6 and what follows is not sent: spool sp is full" in done.stderr.splitlines()[-1]

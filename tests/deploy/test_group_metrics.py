"""Several processes' pages as one."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from console.metrics_page import parse_metrics
from deploy.group_metrics import GroupPage, ask_page, fetch_page


def page(accepted: int, lag: int) -> str:
    """What one process serves."""
    registry = CollectorRegistry()
    Counter("journeys_accepted_total", "taken", ["source"], registry=registry).labels("web").inc(accepted)
    Gauge("journeys_lag_records", "behind", registry=registry).set(lag)
    Histogram("journeys_chunk_seconds", "time", buckets=(0.1, 1.0), registry=registry).observe(0.5)
    return generate_latest(registry).decode()


def _given(each: str | None) -> str | None:
    return each


def serve(*pages: str | None) -> str:
    """What is made of these pages, of processes 0, 1 and so on."""
    registry = CollectorRegistry()
    registry.register(GroupPage({str(number): partial(_given, each) for number, each in enumerate(pages)}))
    return generate_latest(registry).decode()


def test_each_sample_says_of_which_process_it_is_and_nothing_is_lost() -> None:
    samples = parse_metrics([serve(page(3, 10), page(4, 20))])
    assert samples.by_label("accepted_total", "process") == {"0": 3, "1": 4}
    assert samples.total("accepted_total", source="web", process="1") == 4
    assert samples.by_label("lag_records", "process") == {"0": 10, "1": 20}
    assert samples.by_label("chunk_seconds_bucket", "le") == {"0.1": 0, "1.0": 2, "+Inf": 2}
    assert samples.total("chunk_seconds_sum") == 1.0 and samples.total("chunk_seconds_count") == 2
    single = parse_metrics([page(3, 10)]).values
    assert samples.values.keys() == single.keys() | {"worker_process_up"}


def test_help_and_type_come_once_for_each_family_with_all_its_samples() -> None:
    lines = serve(page(3, 10), page(4, 20)).splitlines()
    heads = [line for line in lines if line.startswith("#")]
    assert len(heads) == len(set(heads)) and "# HELP journeys_accepted_total taken" in heads
    assert "# TYPE journeys_chunk_seconds histogram" in heads
    place = lines.index("# TYPE journeys_lag_records gauge")
    assert lines[place + 1 : place + 3] == [
        'journeys_lag_records{process="0"} 10.0',
        'journeys_lag_records{process="1"} 20.0',
    ]


@pytest.mark.parametrize("silent", [None, "<html>"], ids=["no answer", "no page"])
def test_a_process_that_does_not_answer_is_down_and_left_out(silent: str | None) -> None:
    samples = parse_metrics([serve(silent, page(4, 20))])
    assert samples.by_label("worker_process_up", "process") == {"0": 0, "1": 1}
    assert samples.by_label("lag_records", "process") == {"1": 20}


class Breaking(BaseHTTPRequestHandler):
    """Promises more than it sends, as a process does that is killed while it answers."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", "1000")
        self.end_headers()
        self.wfile.write(b"journeys_lag_records 1\n")

    def log_message(self, format: str, *arguments: object) -> None: ...


class Answering(Breaking):
    """Sends a whole page."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()
        self.wfile.write("journeys_lag_records 1 # שלום\n".encode())


@contextmanager
def serving(handler: type[BaseHTTPRequestHandler]) -> Iterator[str]:
    with HTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/metrics"
        finally:
            server.shutdown()
            thread.join()


@pytest.fixture
def breaking() -> Iterator[str]:
    with serving(Breaking) as url:
        yield url


def test_a_page_of_this_machine_is_asked_for_directly_whatever_proxy_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    with serving(Answering) as url:
        assert ask_page(url) == "journeys_lag_records 1 # שלום\n"


@pytest.mark.parametrize("url", ["file:///etc/hostname", "http://127.0.0.1:1/metrics", "http://[", ""])
def test_what_is_no_page_is_no_answer(url: str) -> None:
    assert ask_page(url) is None


def test_no_note_half_a_note_and_half_a_page_are_no_answer(tmp_path: Path, breaking: str) -> None:
    note = tmp_path / "1.json"
    assert fetch_page(note) is None
    for content in ('{"pid": 1, "metr', '{"pid": 1}', '{"metrics_url": "http://127.0.0.1:1/"}'):
        note.write_text(content, "utf-8")
        assert fetch_page(note) is None
    note.write_text(json.dumps({"metrics_url": breaking}), "utf-8")
    assert fetch_page(note) is None

"""A worker's note: whole or not there."""

from __future__ import annotations

import json
import os
import threading
import time
from pathlib import Path

from streams.worker_note import leave_note, note_path


def test_a_reader_never_finds_half_a_note(tmp_path: Path) -> None:
    path = note_path(tmp_path, os.getpid())
    texts: list[str] = []
    over = threading.Event()

    def read() -> None:
        while not over.is_set():
            for found in tmp_path.glob("*.json"):
                try:
                    texts.append(found.read_text("utf-8"))
                except FileNotFoundError:
                    continue

    reader = threading.Thread(target=read)
    reader.start()
    for _ in range(300):
        with leave_note(tmp_path, "http://127.0.0.1:9/metrics"):
            assert path.exists()
    with leave_note(tmp_path, "http://127.0.0.1:9/metrics"):
        while not texts:
            time.sleep(0.001)
    over.set()
    reader.join()

    assert texts
    assert {json.loads(text)["metrics_url"] for text in texts} == {"http://127.0.0.1:9/metrics"}
    assert not list(tmp_path.iterdir())

"""One /metrics page made of several processes' pages: each sample says which process it is of."""

from __future__ import annotations

import json
import urllib.request
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPException
from pathlib import Path

from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.registry import Collector

LABEL = "process"
UP = "journeys_worker_process_up"
# A process that hangs must not take longer than whoever asks for the whole page is ready to wait.
TIMEOUT_SECONDS = 2.0

FetchPage = Callable[[], str | None]


def label_pages(pages: Mapping[str, str | None]) -> list[Metric]:
    """Every family of all pages once, each sample with the label `process`, and for each process whether it answered.

    A page that is None, or text that is no metrics page, is that of a process which did not answer.
    """
    up = GaugeMetricFamily(UP, "whether this process of the worker answered", labels=[LABEL])
    families: dict[str, Metric] = {}
    for process, page in pages.items():
        found = _parse(page)
        up.add_metric([process], float(found is not None))
        for family in found or []:
            merged = families.setdefault(family.name, Metric(family.name, family.documentation, family.type))
            merged.samples += [sample._replace(labels={**sample.labels, LABEL: process}) for sample in family.samples]
    return [up, *families.values()]


def _parse(page: str | None) -> list[Metric] | None:
    try:
        return None if page is None else list(text_string_to_metric_families(page))
    except ValueError:
        return None


class GroupPage(Collector):
    """What all processes' pages say, asked for anew each time; `fetchers` are by the value of the label."""

    def __init__(self, fetchers: Mapping[str, FetchPage]) -> None:
        self._fetchers = fetchers

    def collect(self) -> Iterable[Metric]:
        """The labelled families. Takes as long as the slowest process."""
        with ThreadPoolExecutor(max(1, len(self._fetchers))) as pool:
            pages = pool.map(lambda fetch: fetch(), self._fetchers.values())
            return label_pages(dict(zip(self._fetchers, pages, strict=True)))


def fetch_page(note: Path) -> str | None:
    """The page of the worker that left this note; None while there is no note or nobody answers."""
    try:
        return ask_page(json.loads(note.read_text("utf-8"))["metrics_url"])
    except (OSError, ValueError, KeyError):
        return None


def ask_page(url: str, timeout_seconds: float = TIMEOUT_SECONDS) -> str | None:
    """The text of a page of this machine; None when nobody answers in time, or the answer is no whole page."""
    if not url.startswith("http://"):
        return None
    # Processes of one machine talk to each other directly, whatever proxy the environment names.
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(url, timeout=timeout_seconds) as answer:
            return str(answer.read().decode("utf-8"))
    except (OSError, ValueError, HTTPException):
        return None

"""Where a report goes: its HTML into a file that is never replaced by accident, its numbers as JSON."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from console.report_measures import Measure, Reading, all_measures, make_sections, top_changes
from console.report_model import Facts
from console.report_span import Span
from schemas.errors import Misconfigured


def name_file(given: Path | None, span: Span, store: str) -> Path:
    """The file as given, else one in this directory that is named after the days and the store."""
    if given is not None:
        return given
    place = "".join(each if each.isalnum() or each in "-_." else "_" for each in store)
    return Path(f"journeys-report-{span.name}{f'-{place}' if place else ''}.html")


def check_place(path: Path, force: bool) -> None:
    """Raise `Misconfigured` for a file that must not or cannot be written, before anything is read."""
    directory = path.absolute().parent
    if path.is_dir():
        raise Misconfigured(f"{path} is a directory: name a file in it")
    if not directory.is_dir():
        raise Misconfigured(f"{path}: there is no directory {directory}")
    if path.exists() and not force:
        raise Misconfigured(f"{path} is there already: --force replaces it, --out names another file")
    if not os.access(directory, os.W_OK):
        raise Misconfigured(f"{path}: this user may not write into {directory}")


def write_page(page: str, path: Path, force: bool) -> None:
    """Write it; a file that is there stays as it was until the new one is whole. Raises `OSError`, `Misconfigured`."""
    if not force:
        try:
            with path.open("x", encoding="utf-8") as file:
                file.write(page)
        except FileExistsError as error:
            raise Misconfigured(f"{path} is there already: --force replaces it") from error
        return
    unfinished = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        unfinished.write_text(page, "utf-8")
        unfinished.replace(path)
    finally:
        unfinished.unlink(missing_ok=True)


def as_json(facts: Facts, path: Path) -> dict[str, Any]:
    """The numbers of a report for a program; what has too few cases is null and keeps its count of cases."""
    sections = make_sections(facts)
    better, worse = top_changes(all_measures(facts, sections))
    return {
        "file": str(path),
        "since": _moment(facts.now.span, "since"),
        "until": _moment(facts.now.span, "until"),
        "zone": facts.now.span.zone,
        "is_over": facts.is_over,
        "store": facts.store or None,
        "touchpoints": facts.now.touchpoints,
        "measures": _list(measure for section in sections for measure in section.measures),
        "rules": [
            {"rule": each.rule, "episodes": each.episodes, "customers": each.customers, "journeys": list(each.journeys)}
            for each in facts.now.frictions
        ],
        "better": _list(better),
        "worse": _list(worse),
    }


def _list(measures: Iterable[Measure]) -> list[dict[str, Any]]:
    return [
        {
            "name": each.name,
            **({"of": list(each.of)} if each.of else {}),
            "unit": each.unit,
            "now": _reading(each.now, each.is_told),
            "before": _reading(each.before, each.is_told_before),
            "change": each.difference,
            "verdict": each.verdict,
            "may_be_chance": each.may_be_chance,
        }
        for each in measures
    ]


def _reading(reading: Reading, is_told: bool) -> dict[str, Any]:
    return {"value": reading.value if is_told else None, "cases": reading.cases}


def _moment(span: Span, end: str) -> str:
    return f"{getattr(span, end):%Y-%m-%dT%H:%M:%SZ}"

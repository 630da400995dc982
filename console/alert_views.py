"""Alerts as a table and one alert in full, for people; rows are those of `analytics.alerts`. Pure."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from rich import box
from rich.table import Table
from rich.text import Text

from console.alert_actions import Silence, Standing, order_key
from console.alert_lines import SEVERITY_MARKS
from console.alert_words import DEEDS, LABELS, NOBODY, VALUES, WEEKDAYS_HE
from console.cells import printable, show_cell
from console.sql_results import make_pairs
from console.timeline import FIELDS, ICONS, SEVERITY_STYLES, Line, describe_details
from schemas.alert_action import MATCHERS, AlertAction
from streams.friction.texts import Language, format_amount

ID_LENGTH = 8
CUSTOMER_WIDTH = 20
RULE_ICON = "◆"
LEFT_TO_RIGHT, END_OF_DIRECTION = "\u2066", "\u2069"
Alert = Mapping[str, Any]


def make_list(alerts: Sequence[Alert], language: Language) -> Table:
    """One line each, in the colour of its severity; what is over is dim."""
    table = Table(box=box.SIMPLE_HEAD, header_style="bold", pad_edge=False)
    words = LABELS[language]
    for name in (words["id"], f"{words['opened']} (UTC)", ""):
        table.add_column(name, no_wrap=True)
    table.add_column(words["customer"], no_wrap=True, max_width=CUSTOMER_WIDTH)
    table.add_column(words["what"], overflow="fold")
    for alert in alerts:
        cells = (
            str(alert["episode_id"])[:ID_LENGTH],
            f"{alert['opened_at']:{'%d.%m' if language == 'he' else '%d %b'} %H:%M:%S}",
            SEVERITY_MARKS.get(alert["severity"], " "),
            alert["customer_id"],
            what_line(alert, language),
        )
        table.add_row(*(Text(printable(cell), overflow="ellipsis") for cell in cells[:-1]), Text(cells[-1]))
        table.rows[-1].style = style_of(alert)
    return table


def style_of(alert: Alert) -> str:
    """The style of an alert."""
    return SEVERITY_STYLES.get(alert["severity"], "") if alert["effective_status"] == "open" else "dim"


def what_line(alert: Alert, language: Language) -> str:
    """Rule, place, reason, and in brackets what is not as it was when it opened: status, silence, who deals with it."""
    store = isolate(alert["store_id"], language)
    place = f" {LABELS[language]['at']}{store}" if store else ""
    states = [
        word(alert["effective_status"], language) if alert["effective_status"] != "open" else "",
        word("silenced", language) if alert["silenced"] else "",
        # The assignee, otherwise who has resolved or acknowledged it.
        isolate(alert["assigned_to"] or alert["human_resolved_by"] or alert["acknowledged_by"], language),
    ]
    shown = ", ".join(filter(None, states))
    reason = printable(alert[f"reason_{language}"])
    return f"{isolate(alert['rule'], language)}{place}: {reason}{f' [{shown}]' if shown else ''}"


def isolate(text: str, language: Language) -> str:
    """A name as it is printed; among Hebrew it is kept from left to right, and from turning what is around it."""
    shown = printable(text)
    return f"{LEFT_TO_RIGHT}{shown}{END_OF_DIRECTION}" if shown and language == "he" else shown


def word(name: str, language: Language) -> str:
    """What a status, severity, kind, unit or reason of withdrawal is called."""
    return VALUES[language].get(name) or isolate(name, language)


def list_note(shown: int, heard: int, silenced: int, show_all: bool, language: Language = "en") -> str:
    """How many alerts there are, and how to see the rest."""
    count = heard + silenced if show_all else heard
    if language == "he":
        rest = "" if shown >= count else f", {shown:,} החדשות מוצגות: {isolate('--limit 0', 'he')} מציג הכול"
        hidden = f"; מושתקות ולא מוצגות: {silenced:,} ({isolate('--all', 'he')} מציג אותן)"
        return (
            f"{'התרעה אחת' if count == 1 else f'{count:,} התרעות'}{rest}{hidden if silenced and not show_all else ''}"
        )
    noun = "alert" if count == 1 else "alerts"
    rest = "" if shown >= count else f", of which the newest {shown:,} are shown: --limit 0 shows all"
    hidden = f"; silenced and not shown: {silenced:,} (--all shows them)" if silenced and not show_all else ""
    return f"{count:,} {noun}{rest}{hidden}"


def head_line(alert: Alert, language: Language) -> Text:
    """Its title, with what it is."""
    mark = SEVERITY_MARKS.get(alert["severity"], " ")
    facts = [word(alert[name], language) for name in ("severity", "effective_status", "kind")]
    facts.append(isolate(f"{alert['rule']} v{alert['rule_version']}", language))
    title = printable(alert[f"title_{language}"])
    return Text.assemble((f"{mark} {title}", style_of(alert)), f"  {' · '.join(facts)}")


def detail_table(alert: Alert, standing: Standing, silences: Iterable[Silence], language: Language) -> Table:
    """All that is said of one alert, a line each."""
    return make_pairs(detail_rows(alert, standing, silences, language))


def detail_rows(
    alert: Alert, standing: Standing, silences: Iterable[Silence], language: Language
) -> Iterator[tuple[str, str]]:
    """Label and value of all that is said of one alert; what is empty is left out."""
    words = LABELS[language]
    unit = alert["unit"]
    is_source = alert["kind"] == "source"
    names = [
        ("id", str(alert["episode_id"])),
        ("customer", alert["customer_id"]),
        ("store", alert["store_id"]),
        ("subject", alert["subject"]),
        # A silent source is in nobody's journey, and is judged by its own rhythm.
        ("journey", "" if is_source else str(alert["journey_id"])),
    ]
    yield from ((words[label], isolate(name, language)) for label, name in names if name)
    found: list[tuple[str, str]] = [
        (words["opened"], show_moment(alert["opened_at"])),
        (words["seen"], show_moment(alert["last_seen_at"])),
        (words["resolved"], show_moment(alert["resolved_at"])),
        (words["why"], alert[f"reason_{language}"]),
        (words["found"], _amount(alert["actual"], unit, language)),
        (words["allowed"], "" if is_source else _amount(alert["threshold"], unit, language)),
        (words["limit"], show_moment(alert["limit_at"])),
        (words["silent_if"], alert[f"silent_if_{language}"]),
        (words["withdrawn"], word(alert["withdrawn_because"], language)),
        (words["advice"], alert[f"advice_{language}"]),
        (words["affected"], show_cell(alert["affected_customers"])),
    ]
    yield from ((label, printable(value)) for label, value in found if value)
    hands = ", ".join(_hands(standing, language))
    if hands:
        yield words["hand"], hands
    yield from ((words["silenced"], describe_silence(each, language)) for each in silences)


def _amount(amount: float, unit: str, language: Language) -> str:
    shown = format_amount(amount, unit, language)
    return shown if unit == "seconds" else f"{shown} {word(unit, language)}"


def _hands(standing: Standing, language: Language) -> Iterator[str]:
    deeds = DEEDS[language]
    if standing.acknowledged_by:
        yield f"{isolate(standing.acknowledged_by, language)} {deeds['ack']}"
    if standing.assigned_to:
        yield f"{LABELS[language]['assigned']} {isolate(standing.assigned_to, language)}"
    if standing.human_resolved_by:
        yield f"{isolate(standing.human_resolved_by, language)} {deeds['resolve']}"


def describe_silence(silence: Silence, language: Language = "en") -> str:
    """What it matches, until when, and who wanted it."""
    words, action = LABELS[language], silence.action
    matched = describe_matchers(action, language)
    note = f": {printable(action.note)}" if action.note else ""
    until = isolate(show_moment(silence.ends_at), language)
    return f"{matched} {words['until']} {until}, {words['by']} {isolate(action.by, language)}{note}"


def describe_matchers(action: AlertAction, language: Language = "en") -> str:
    """`rule long_wait, store S-1`; of a silence of one alert, its id."""
    words = LABELS[language]
    named = [(name.removesuffix("_id"), value) for name, value in zip(MATCHERS, action.matchers, strict=True)]
    if action.episode_id is not None:
        named.insert(0, ("id", action.episode_id))
    return ", ".join(f"{words[name]} {isolate(value, language)}" for name, value in named if value)


def show_moment(moment: datetime | None) -> str:
    """`2026-11-21 10:00:00`, UTC; a whole list is told to the second."""
    return "" if moment is None else f"{moment.astimezone(UTC):%Y-%m-%d %H:%M:%S}"


def evidence_lines(alert: Alert, touchpoints: Iterable[Mapping[str, Any]], language: Language) -> list[Line]:
    """The touchpoints that prove an alert and the moments of the rule between them, in the order of time."""
    words, style = LABELS[language], style_of(alert)
    entries: list[tuple[datetime, int, Line]] = []
    stored = set()
    for found in touchpoints:
        stored.add(f"{found['source']}/{found['event_id']}")
        entries.append((found["occurred_at"], 0, _touchpoint_line(found)))
    for order, name in enumerate(("limit", "opened", "resolved"), 1):
        moment = alert[f"{name}_at"]
        if moment is not None:
            line = Line("", RULE_ICON, words["source"], words[f"moment_{name}"], words[f"condition_{name}"], style)
            entries.append((moment, order, line))
    lines = list(_with_times(sorted(entries, key=lambda entry: entry[:2]), language))
    missing = [reference for reference in alert["evidence"] if reference not in stored]
    return lines + [Line("", "·", printable(each), words["missing"], "") for each in missing]


def _with_times(entries: Iterable[tuple[datetime, int, Line]], language: Language) -> Iterator[Line]:
    day = ""
    for moment, _, line in entries:
        shown = f"{WEEKDAYS_HE[moment.weekday()]} {moment:%d.%m}" if language == "he" else f"{moment:%a %d %b}"
        clock = f"{moment:%H:%M:%S}.{moment.microsecond // 1000:03}"
        yield Line(f"{shown if shown != day else '':<10} {clock}", *_after_time(line))
        day = shown


def _after_time(line: Line) -> tuple[str, str, str, str, str]:
    return line.icon, line.source, line.what, line.details, line.style


def _touchpoint_line(found: Mapping[str, Any]) -> Line:
    properties = read_properties(found["properties"])
    details = ", ".join(describe_details({name: found[name] for name in FIELDS}, properties))
    return Line("", ICONS.get(found["source"], "·"), found["source"], printable(found["type"]), details)


def read_properties(text: str) -> Mapping[str, Any]:
    """The properties of a touchpoint, from the JSON text that is stored."""
    found = json.loads(text or "{}")
    return found if isinstance(found, dict) else {}


def history_lines(actions: Iterable[AlertAction], language: Language) -> list[str]:
    """Who did what to one alert and when, oldest first."""
    deeds = DEEDS[language]
    lines = []
    for action in sorted(actions, key=order_key):
        to = f" {isolate(action.assignee, language) or NOBODY[language]}" if action.action == "assign" else ""
        note = f": {printable(action.note)}" if action.note else ""
        by = isolate(action.by, language)
        lines.append(f"{show_moment(action.acted_at)}  {by} {deeds[action.action]}{to}{note}")
    return lines

"""A report as one HTML page that needs nothing else: no file, no network, no script. Pure."""

from __future__ import annotations

from console.report_figures import Figures
from console.report_html import Markup, join, tag
from console.report_measures import ENOUGH, Measure, Section, all_measures, make_sections, top_changes
from console.report_model import Facts
from console.report_style import STYLE
from console.report_words import Words

POLICY = "default-src 'none'; style-src 'unsafe-inline'"
ARROWS = {True: "▲", False: "▼"}


def render(facts: Facts, words: Words) -> str:
    """The whole page."""
    sections, figures = make_sections(facts), Figures(facts, words)
    body = tag(
        "main",
        _header(facts, words),
        _changes(facts, sections, figures, words),
        *(_section(each, figures, words) for each in sections),
        tag("footer", tag("p", words.fill("made", enough=ENOUGH), class_="small")),
    )
    head = tag(
        "head",
        tag("meta", charset="utf-8"),
        tag("meta", http_equiv="Content-Security-Policy", content=POLICY),
        tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
        tag("meta", name="color-scheme", content="light dark"),
        tag("title", f"{words['title']}, {words.span_name(facts.now.span)}"),
        tag("style", Markup(STYLE)),
    )
    page = tag("html", head, tag("body", body), lang=words.language, dir="rtl" if words.is_rtl else "ltr")
    return f"<!doctype html>\n{page}\n"


def _header(facts: Facts, words: Words) -> Markup:
    now, before = facts.now, facts.before
    subtitle = words["subtitle"].split("{zone}")
    line = subtitle[0].format(span=words.span(now.span), before=words.span(before.span))
    basis = words.fill("basis", touchpoints=now.touchpoints, journeys=now.active_journeys)
    place = words["store"].split("{store}")
    return tag(
        "header",
        tag("h1", f"{words['title']}, {words.span_name(now.span)}"),
        tag("p", join((place[0], words.id(facts.store), place[1])), class_="soft") if facts.store else Markup(),
        tag("p", join((line, words.id(now.span.zone), subtitle[1])), class_="soft"),
        tag("p", basis, class_="soft"),
        Markup() if facts.is_over else tag("p", tag("b", words["unfinished"])),
    )


def _changes(facts: Facts, sections: tuple[Section, ...], figures: Figures, words: Words) -> Markup:
    better, worse = top_changes(all_measures(facts, sections))
    lists = [
        tag("div", tag("h3", words[title]), _ranking(found, figures, words), class_="card")
        for title, found in (("changes_better", better), ("changes_worse", worse))
    ]
    rule = tag("p", words.fill("changes_rule", enough=ENOUGH), class_="small")
    return tag("section", tag("h2", words["changes"]), tag("div", *lists, class_="grid wide"), rule)


def _ranking(found: tuple[Measure, ...], figures: Figures, words: Words) -> Markup:
    if not found:
        return tag("p", words["changes_none"], class_="soft")
    return tag("ol", *(tag("li", _ranked(each, figures, words)) for each in found))


def _ranked(measure: Measure, figures: Figures, words: Words) -> Markup:
    before = tag("span", _value(measure.before.value, measure, words), class_="soft")
    change = tag("span", _change(measure, words), class_=_change_class(measure))
    chance = tag("span", f" {words['chance']}", class_="small") if measure.may_be_chance else Markup()
    now = tag("b", _value(measure.now.value, measure, words))
    head = join((_label(measure, figures, words), ": ", now, " · ", f"{words['before']} ", before, " · ", change))
    return join((head, tag("br"), _meaning(measure, words), chance))


def _section(section: Section, figures: Figures, words: Words) -> Markup:
    title = tag("h2", words[section.name])
    if not section.is_told:
        return tag("section", title, tag("p", words["not_by_store"], class_="soft"))
    cards = tag("div", *(_card(each, figures, words) for each in section.measures), class_="grid")
    return tag("section", title, cards if section.measures else Markup(), figures.of(section.name))


def _card(measure: Measure, figures: Figures, words: Words) -> Markup:
    return tag(
        "article",
        tag("h3", _label(measure, figures, words)),
        *(_told(measure, words) if measure.is_told else _untold(measure, words)),
        tag("p", words.said(measure.name).definition, class_="small definition"),
        class_="card",
    )


def _untold(measure: Measure, words: Words) -> list[Markup]:
    why = words.fill("few_why", count=measure.now.cases, enough=ENOUGH)
    shown = [tag("p", words["few"], class_="value few"), tag("p", why)]
    if measure.is_told_before:
        before = _value(measure.before.value, measure, words)
        shown.append(tag("p", words.fill("before_was", value=before), class_="soft"))
    return shown


def _told(measure: Measure, words: Words) -> list[Markup]:
    shown = [tag("p", _value(measure.now.value, measure, words), class_="value")]
    if measure.unit != "count":
        shown.append(tag("p", words.fill("cases", count=measure.now.cases), class_="small"))
    if measure.difference is not None:
        before = words.fill("before_was", value=_value(measure.before.value, measure, words))
        change = tag("span", _change(measure, words), class_=_change_class(measure))
        shown.append(tag("p", change, " ", tag("span", before, class_="soft")))
    shown.append(tag("p", _meaning(measure, words) + (f" {words['chance']}" if measure.may_be_chance else "")))
    return shown


def _meaning(measure: Measure, words: Words) -> str:
    said, difference = words.said(measure.name), measure.difference
    if difference is None:
        is_few = measure.before.value is not None
        return words.fill("few_before", count=measure.before.cases) if is_few else words["unknown"]
    if measure.verdict == "same":
        return words["same"]
    return said.more if difference > 0 else said.less


def _change(measure: Measure, words: Words) -> str:
    difference, before = measure.difference or 0.0, measure.before.value or 0.0
    arrow = "" if measure.verdict == "same" else ARROWS[difference > 0]
    verdict = f" · {words[measure.verdict]}" if measure.verdict in ("better", "worse") else ""
    return f"{arrow} {words.change(difference, before, measure.unit)}{verdict}".strip()


def _change_class(measure: Measure) -> str:
    # What may be chance is no reason for alarm, nor for joy.
    is_sure = measure.strength is not None and not measure.may_be_chance
    return f"change {measure.verdict}" if is_sure else "change"


def _value(value: float | None, measure: Measure, words: Words) -> str:
    return words["few"] if value is None else words.number(value, measure.unit)


def _label(measure: Measure, figures: Figures, words: Words) -> Markup:
    before, gap, after = words.said(measure.name).label.partition("{of}")
    return join((before, figures.subject(measure) if gap else "", after))

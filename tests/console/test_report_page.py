"""The page of a report: whole, safe, and in one language."""

import re
from dataclasses import replace
from datetime import date
from string import Formatter

import pytest

from console import report_words_en, report_words_he
from console.report_html import clean, tag
from console.report_measures import all_measures, make_sections
from console.report_model import Contacts, Facts, Part, RuleCount, Silent, StoreCount, TopicCount, Waits
from console.report_page import render
from console.report_words import Words
from streams.friction.texts import LANGUAGES, Language
from tests.console.report_samples import EMPTY, ENGLISH, HEBREW, JOURNEY, WEEK, Page

EVIL = "<script>alert(1)</script>\"'&\u202egnp.\u2066"


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("facts", [ENGLISH, EMPTY], ids=["full", "empty"])
def test_a_page_is_balanced_and_names_its_language(facts: Facts, language: Language) -> None:
    page = Page(render(facts, Words(language)))
    root = next(given for name, given in page.tags if name == "html")
    assert root == {"lang": language, "dir": "rtl" if language == "he" else "ltr"}


def test_a_page_needs_nothing_else() -> None:
    text = render(ENGLISH, Words("en"))
    page = Page(text)
    assert not {"script", "link", "img", "iframe", "object", "base", "form"} & {name for name, _ in page.tags}
    assert not re.search(r"https?:|//[a-z]|url\(|@import", text)
    names = {key for _, given in page.tags for key in given}
    assert not {key for key in names if key in ("src", "href", "srcset", "action") or key.startswith("on")}
    assert any(given.get("content") == "default-src 'none'; style-src 'unsafe-inline'" for _, given in page.tags)


def test_every_chart_is_named_and_has_its_numbers_beside_it() -> None:
    page = Page(render(ENGLISH, Words("en")))
    charts = [given for name, given in page.tags if name == "svg"]
    names = {given["id"] for _, given in page.tags if "id" in given}
    assert len(charts) == 8
    assert all({chart["aria-labelledby"], chart["aria-describedby"]} <= names for chart in charts)
    assert [name for name, _ in page.tags].count("details") == len(charts)
    assert len(names) == 2 * len(charts)


def test_the_hebrew_page_has_no_latin_words_but_names_out_of_the_database() -> None:
    page = Page(render(HEBREW, Words("he")))
    assert re.findall(r"[A-Za-z]+", page.text) == []
    assert re.search(r"[א-ת]", page.text)
    assert "המתנה ארוכה" in page.text


def test_the_english_page_has_no_hebrew_words() -> None:
    assert re.findall(r"[א-ת]+", Page(render(ENGLISH, Words("en"))).text) == []


@pytest.mark.parametrize("part", ["TEXTS", "MEASURES", "VALUES"])
def test_both_languages_say_the_same_things_with_the_same_gaps(part: str) -> None:
    english, hebrew = getattr(report_words_en, part), getattr(report_words_he, part)
    assert list(english) == list(hebrew)
    assert {key: _gaps(each) for key, each in english.items()} == {key: _gaps(each) for key, each in hebrew.items()}
    assert (len(report_words_he.MONTHS), len(report_words_he.WEEKDAYS)) == (12, 7)


def _gaps(said: str | tuple[str, ...]) -> list[set[str | None]]:
    return [{name for _, name, _, _ in Formatter().parse(text)} for text in ([said] if isinstance(said, str) else said)]


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_number_has_words(language: Language) -> None:
    measures = all_measures(ENGLISH, make_sections(ENGLISH))
    assert {each.name for each in measures} == set(report_words_en.MEASURES)
    assert all(all(Words(language).said(each.name)) for each in measures)


@pytest.mark.parametrize("language", LANGUAGES)
def test_days_that_are_not_over_are_told_of(language: Language) -> None:
    words = Words(language)
    assert words["unfinished"] not in render(ENGLISH, words)
    assert words["unfinished"] in render(replace(ENGLISH, is_over=False), words)


@pytest.mark.parametrize("language", LANGUAGES)
def test_texts_out_of_the_database_stay_texts(language: Language) -> None:
    week = replace(
        WEEK,
        frictions=(RuleCount(EVIL, 40, 30, (EVIL,)), RuleCount("titled", 5, 5)),
        stores=(StoreCount(EVIL, 10, 100),),
        silent=(Silent(EVIL, date(2026, 8, 20), (EVIL,)),),
        contacts=Contacts(Part(1, 30), Part(), Part(), (TopicCount(EVIL, 30, 1),)),
        waits=(Waits("human", EVIL, 30, 0, 10.0, 20.0), Waits(EVIL, "", 3, 0, 10.0, 20.0)),
        promises=(replace(WEEK.promises[0], kind=EVIL),),
    )
    text = render(Facts(week, week, {"titled": EVIL}, store=EVIL), Words(language))
    assert "script" not in {name for name, _ in Page(text).tags}
    assert "<script" not in text
    assert "\u202e" not in text
    # At least: store, rule twice, journey, store chart and table, topic, wait, promise, customer.
    assert text.count("&lt;script&gt;") > 10
    assert text.count("\u2066") == text.count("\u2069") - text.count("\u2068")


def test_what_is_no_markup_is_escaped_also_in_attributes() -> None:
    assert tag("p", "<b>", tag("i", "&"), title='"<') == '<p title="&quot;&lt;">&lt;b&gt;<i>&amp;</i></p>'
    assert clean("a\u202eb\x00") == "a\\u202eb\\x00"


def test_too_few_cases_are_said_instead_of_a_share() -> None:
    text = Page(render(ENGLISH, Words("en"))).text
    assert "Found it easy (CES) Too few cases to tell There are 3; at least 20 are needed." in text
    assert "too few: 3 · 1 unanswered" in text
    assert "Before there were too few cases to compare with: 12." in text


def test_an_empty_week_is_all_zeros_and_nothing_to_say() -> None:
    text = Page(render(EMPTY, Words("en"))).text
    assert "Journeys begun 0 ±0 Before: 0 Nothing changed." in text
    assert "Conversion Too few cases to tell There are 0" in text
    assert "nan" not in text.lower().split()
    assert text.count("There was nothing of this kind.") == 4


def test_a_number_is_shown_with_the_one_before_the_change_and_what_it_means() -> None:
    text = Page(render(ENGLISH, Words("en"))).text
    assert (
        "Conversion 40.0% of 200 ▼ −17.1 points · worse Before: 57.1% A smaller part of the journeys led to an order. "
        "Journeys with an order or a purchase"
    ) in text
    assert JOURNEY in render(ENGLISH, Words("en"))


def test_one_store_leaves_out_what_cannot_be_told_of_it() -> None:
    week = replace(WEEK, contacts=None, surveys=None, on_time=None, recovered=None, silent=None, silent_count=None)
    text = Page(render(Facts(week, week, {}, store="S-1"), Words("en"))).text
    assert text.count("This cannot be told of one store alone") == 3
    assert "on time and in full" not in text


@pytest.mark.parametrize(
    ("language", "shown"),
    [
        ("en", ["1,234", "12.3%", "−0.5", "2 h", "90 s", "+12 (+50%)", "−5.0 points", "±0.0", "7 Sep 2026", "Mon 7"]),
        (
            "he",
            [
                "\u20661,234\u2069", "\u206612.3%\u2069", "\u2066−0.5\u2069", "שעתיים", "90 שניות",
                "\u2066+12 (+50%)\u2069", "\u2066−5.0\u2069 נקודות", "\u2066±0.0\u2069", "7 בספטמבר 2026", "ב׳ 7",
            ],
        ),
    ],
)  # fmt: skip
def test_numbers_and_days_are_written_as_the_language_writes_them(language: Language, shown: list[str]) -> None:
    words, day = Words(language), date(2026, 9, 7)
    assert [
        words.number(1_234, "count"), words.number(0.123, "share"), words.number(-0.5, "points"),
        words.number(2, "hours"), words.seconds(90).replace("1.5 min", "90 s").replace("1.5 דקות", "90 שניות"),
        words.change(12, 24, "count"), words.change(-0.05, 0.3, "share"), words.change(0, 3, "score"),
        words.day(day), words.short_day(day),
    ] == shown  # fmt: skip

"""The charts and tables of each part of a report, each chart with its numbers as a table. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import date

from console.cells import printable
from console.report_charts import LOG_STEPS, Bar, Canvas, Range, Stack, bars, columns, heat, legend, ranges, stacks
from console.report_html import FIRST_STRONG_ISOLATE, POP_ISOLATE, Markup, join, table, tag
from console.report_measures import ENOUGH, Measure, rule_rates
from console.report_model import Facts, Promises, RuleCount, StoreCount, Survey, Waits, Week
from console.report_words import Words

SHOWN_ROWS = 12
SURVEYS = ("csat", "ces", "nps")


class Figures:
    """Makes the figures of one report; each method is empty where there is nothing to show."""

    def __init__(self, facts: Facts, words: Words) -> None:
        self.facts, self.words = facts, words

    def of(self, section: str) -> Markup:
        """All figures of one part."""
        makers = {
            "journeys": self._journeys,
            "friction": self._friction,
            "promises": self._promises,
            "contacts": self._contacts,
            "waits": self._waits,
            "surveys": self._surveys,
            "delight": self._delight,
            "silent": self._silent,
        }
        return makers[section]() if section in makers else Markup()

    def title(self, rule: str) -> str:
        """What a rule is called; its id where it has no title."""
        found = self.facts.titles.get(rule)
        return f"{FIRST_STRONG_ISOLATE}{printable(found)}{POP_ISOLATE}" if found else self.words.id(rule)

    def subject(self, measure: Measure) -> str:
        """What a number is of, where there are several of its kind."""
        if measure.name == "wait":
            return join(map(self.words.value, measure.of), ", ")
        return self.title(measure.of[0])

    def _label(self, title: str, plain: str) -> str:
        """The same where only SVG may stand."""
        return self.words.id(plain, "tspan") if isinstance(title, Markup) else title

    def _figure(
        self, name: str, canvas: Canvas | None, keys: Sequence[tuple[str, str]], numbers: Markup, **given: str | int
    ) -> Markup:
        title, what = self.words[name], self.words.fill(f"{name.removesuffix('_chart')}_what", **given)
        return tag(
            "figure",
            tag("figcaption", title), tag("p", what, class_="small"),
            legend(keys) if canvas else Markup(),
            canvas.draw(name, title, what) if canvas else tag("p", self._why_empty(name), class_="soft"),
            tag("details", tag("summary", self.words["numbers"]), numbers),
        )  # fmt: skip

    def _why_empty(self, name: str) -> str:
        return self.words.fill("stores_few", enough=ENOUGH) if name == "stores" else self.words["few"]

    @property
    def _times(self) -> list[tuple[str, str]]:
        return [("now", self.words["now"]), ("before", self.words["before"])]

    def _journeys(self) -> Markup:
        return tag("div", self._by_day("days_journeys", lambda week: week.begun), class_="block")

    def _by_day(self, name: str, pick: Callable[[Week], Mapping[date, int]]) -> Markup:
        words, now, before = self.words, self.facts.now, self.facts.before
        counts = [pick(now).get(day, 0) for day in now.span.days]
        earlier = [pick(before).get(day, 0) for day in before.span.days]
        canvas = columns([words.short_day(day) for day in now.span.days], counts, earlier, words.is_rtl)
        rows = zip(map(words.day, now.span.days), map(words.count, counts), map(words.count, earlier), strict=True)
        numbers = table((words["day"], words["now"], words["before"]), rows)
        title, what = words[name], words["days_what"]
        return tag(
            "figure",
            tag("figcaption", title), tag("p", what, class_="small"), legend(self._times),
            canvas.draw(name, title, what), tag("details", tag("summary", words["numbers"]), numbers),
        )  # fmt: skip

    def _friction(self) -> Markup:
        if not self.facts.now.frictions and not self.facts.before.frictions:
            return tag("p", self.words["none"], class_="soft")
        by_day = self._by_day("days_friction", lambda week: week.hurt)
        beside = tag("div", self._hours_chart(), by_day, self._stores_chart(), class_="stack")
        charts = tag("div", self._rules_chart(), beside, class_="grid wide")
        return join((charts, tag("div", self._rules_table(), class_="card block")))

    def _rules_chart(self) -> Markup:
        words, rows, numbers = self.words, [], []
        before = {each.rule: each.episodes for each in self.facts.before.frictions}
        for each in self.facts.now.frictions[:SHOWN_ROWS]:
            earlier = before.get(each.rule, 0)
            title = self.title(each.rule)
            shown, shown_before = words.count(each.episodes), words.count(earlier)
            rows.append(Bar(self._label(title, each.rule), each.episodes, earlier, shown))
            numbers.append((title, shown, shown_before))
        canvas = bars(rows, words.is_rtl) if rows else None
        return self._figure(
            "rules", canvas, self._times, table((words["rule"], words["now"], words["before"]), numbers)
        )

    def _rules_table(self) -> Markup:
        words, found = self.words, {each.rule: each for each in self.facts.now.frictions}
        before = {each.rule: each.episodes for each in self.facts.before.frictions}
        head = ("rule", "now", "before", "change", "hit", "per_hundred", "examples")
        rows = [
            self._rule_row(rate, found.get(rate.of[0], RuleCount(rate.of[0], 0, 0)), before.get(rate.of[0], 0))
            for rate in rule_rates(self.facts)
        ]
        return join((tag("h3", words["rules"]), table([words[each] for each in head], rows)))

    def _rule_row(self, rate: Measure, now: RuleCount, before: int) -> tuple[str, ...]:
        words = self.words
        per_hundred = words.number(rate.now.value or 0, "rate") if rate.is_told else words["few"]
        return (
            self.title(now.rule),
            words.count(now.episodes),
            words.count(before),
            words.change(now.episodes - before, before, "count"),
            words.count(now.customers),
            per_hundred,
            tag("span", *map(words.id, now.journeys), class_="ids"),
        )

    def _stores_chart(self) -> Markup:
        words = self.words
        before = {each.store: each for each in self.facts.before.stores}
        enough = sorted((each for each in self.facts.now.stores if each.journeys >= ENOUGH), key=_rate, reverse=True)
        rows = [
            Bar(
                self.words.id(each.store, "tspan"), _rate(each), _rate_of_enough(before.get(each.store)),
                words.number(_rate(each), "rate"),
            )
            for each in enough[:SHOWN_ROWS]
        ]  # fmt: skip
        numbers = [
            (words.id(each.store), words.count(each.episodes), words.count(each.journeys))
            for each in self.facts.now.stores
        ]
        head = words["store_name"], words["frictions_count"], words["journeys_count"]
        canvas = bars(rows, words.is_rtl) if rows else None
        return self._figure("stores", canvas, self._times, table(head, numbers), enough=ENOUGH)

    def _hours_chart(self) -> Markup:
        words, hours = self.words, self.facts.now.hours
        counts = [[hours.get((day, hour), 0) for hour in range(24)] for day in range(1, 8)]
        most = max(max(row) for row in counts)
        numbers = table(
            (words["weekday"], *(f"{hour:02}" for hour in range(24))),
            ((name, *map(words.count, row)) for name, row in zip(words.weekdays, counts, strict=True)),
        )
        keys = [("now", words.fill("hours_most", count=most))]
        return self._figure("hours", heat(counts, words.weekdays, words.is_rtl), keys, numbers)

    def _promises(self) -> Markup:
        words, found = self.words, [each for each in self.facts.now.promises if each.judged or each.open]
        if not found:
            return tag("p", words["none"], class_="soft")
        rows = [
            Stack(
                self._kind_label(each.kind),
                [("good", each.kept), ("late", each.late), ("bad", each.broken)],
                words.fill("kept_of", kept=each.kept, count=each.judged),
            )
            for each in found
            if each.judged
        ]
        head = [words[name] for name in ("kind", "kept", "late", "broken", "open")]
        numbers = table(head, ((words.value(each.kind), *map(words.count, _counts(each))) for each in found))
        keys = [("good", words["kept"]), ("late", words["late"]), ("bad", words["broken"])]
        canvas = stacks(rows, words.is_rtl) if rows else None
        return tag("div", self._figure("promises_chart", canvas, keys, numbers), class_="block")

    def _kind_label(self, name: str) -> str:
        return self.words.values.get(name) or self.words.id(name, "tspan")

    def _contacts(self) -> Markup:
        contacts = self.facts.now.contacts
        if contacts is None or not contacts.topics:
            return Markup()
        words = self.words
        rows = [
            (words.value(each.topic), words.count(each.contacts), words.count(each.repeats))
            for each in contacts.topics[:SHOWN_ROWS]
        ]
        head = words["topic"], words["contacts_count"], words["repeats_count"]
        return tag("div", tag("h3", words["topics"]), table(head, rows), class_="card block")

    def _waits(self) -> Markup:
        words, waits = self.words, self.facts.now.waits
        if not waits:
            return tag("p", words["none"], class_="soft")
        rows = [
            Range(
                self._wait_name(each, is_svg=True),
                *(each.p50, each.p95) if each.answered >= ENOUGH else (None, None),
                self._wait_note(each),
            )
            for each in waits
        ]
        marks = [words.seconds(seconds) for seconds in LOG_STEPS]
        figure = self._figure("waits_chart", ranges(rows, marks, words.is_rtl), (), self._waits_table())
        return join(
            (
                tag("div", figure, class_="block"),
                tag("p", words.fill("waits_definition", enough=ENOUGH), class_="small"),
            )
        )

    def _wait_note(self, waits: Waits) -> str:
        words = self.words
        parts = [words.fill("cases", count=waits.answered)]
        if waits.answered >= ENOUGH and waits.p50 is not None and waits.p95 is not None:
            parts = [f"{words.seconds(waits.p50)} – {words.seconds(waits.p95)}"]
        elif waits.answered:
            parts = [words.fill("few_short", count=waits.answered)]
        if waits.unanswered:
            parts.append(words.fill("no_answer", count=waits.unanswered))
        return " · ".join(parts)

    def _wait_name(self, waits: Waits, *, is_svg: bool = False) -> Markup:
        return join((self._kind_label(each) if is_svg else self.words.value(each) for each in waits.names), ", ")

    def _waits_table(self) -> Markup:
        words = self.words
        before = {(each.kind, each.channel): each for each in self.facts.before.waits}
        rows = []
        for each in self.facts.now.waits:
            earlier = before.get((each.kind, each.channel))
            rows.append(
                (self._wait_name(each), words.count(each.answered), words.count(each.unanswered))
                + self._quantiles(each) + self._quantiles(earlier)
            )  # fmt: skip
        quantiles = words["median"], words["p95"]
        head = words["wait"], words["answered"], words["unanswered"], *quantiles
        return table((*head, *(f"{each} ({words['before']})" for each in quantiles)), rows)

    def _quantiles(self, waits: Waits | None) -> tuple[str, str]:
        if waits is None or waits.answered < ENOUGH or waits.p50 is None or waits.p95 is None:
            return self.words["few"], self.words["few"]
        return self.words.seconds(waits.p50), self.words.seconds(waits.p95)

    def _surveys(self) -> Markup:
        surveys = self.facts.now.surveys
        if surveys is None:
            return Markup()
        words, found = self.words, [(name, surveys[name]) for name in SURVEYS if name in surveys]
        if not found:
            return tag("p", words["none"], class_="soft")
        rows = [
            Stack(words.values[name], _answers(each), words.fill("cases", count=each.answers))
            for name, each in found
            if each.answers >= ENOUGH
        ]
        keys = [("good", words["good"]), ("before", words["middling"]), ("bad", words["bad"])]
        head = [words[name] for name in ("survey", "answers", "good", "middling", "bad")]
        numbers = table(head, (
            (words.value(name), words.count(each.answers), *(words.count(count) for _, count in _answers(each)))
            for name, each in found
        ))  # fmt: skip
        canvas = stacks(rows, words.is_rtl) if rows else None
        figure = self._figure("surveys_chart", canvas, keys, numbers, enough=ENOUGH)
        return tag("div", figure, class_="block")

    def _delight(self) -> Markup:
        words, before = self.words, {each.rule: each.episodes for each in self.facts.before.delights}
        rows = [
            (
                self.title(each.rule), words.count(each.episodes), words.count(before.get(each.rule, 0)),
                words.count(each.customers),
            )
            for each in self.facts.now.delights
        ]  # fmt: skip
        if not rows:
            return tag("p", words["none"], class_="soft")
        head = [words[name] for name in ("rule", "now", "before", "hit")]
        return tag("div", tag("h3", words["delights"]), table(head, rows), class_="card block")

    def _silent(self) -> Markup:
        words, silent = self.words, self.facts.now.silent
        if not silent:
            return Markup()
        rows = [
            (words.id(each.customer), words.day(each.last_seen), join(map(self.title, each.rules), ", "))
            for each in silent
        ]
        head = words["customer"], words["last_seen"], words["last_friction"]
        note = words.fill("silent_shown", shown=len(silent), count=self.facts.now.silent_count or 0)
        return tag(
            "div", tag("h3", words["silent_who"]), tag("p", note, class_="small"), table(head, rows),
            class_="card block",
        )  # fmt: skip


def _rate(store: StoreCount) -> float:
    return 100 * store.episodes / store.journeys if store.journeys else 0.0


def _rate_of_enough(store: StoreCount | None) -> float:
    return _rate(store) if store is not None and store.journeys >= ENOUGH else 0.0


def _counts(promises: Promises) -> Iterable[int]:
    return promises.kept, promises.late, promises.broken, promises.open


def _answers(survey: Survey) -> list[tuple[str, int]]:
    middling = survey.answers - survey.good - survey.bad
    return [("good", survey.good), ("before", middling), ("bad", survey.bad)]

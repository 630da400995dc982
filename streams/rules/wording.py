"""Rules in plain words, made from their parameters: when each fires, how it ends, how grave it is."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import timedelta

from streams.promises import KINDS, TELL_MS, PromiseKind
from streams.rules.model import Rule
from streams.rules.patterns import Pattern
from streams.rules.primitives import Deadline, Measure, Mismatch, Repeat, Threshold, Wait, WaitCase
from streams.rules.sequence import First
from streams.rules.sequence import Sequence as Course

_UNITS = (("d", "day", 86_400_000), ("h", "hour", 3_600_000), ("m", "minute", 60_000), ("s", "second", 1_000))
_MILLISECOND = timedelta(milliseconds=1)


def _split(span: timedelta) -> Iterator[tuple[int, str, str]]:
    rest = span // _MILLISECOND
    for brief, word, size in (*_UNITS, ("ms", "millisecond", 1)):
        count, rest = divmod(rest, size)
        if count:
            yield count, brief, word


def brief(span: timedelta) -> str:
    """A span as a rule file writes it: `1h 30m`."""
    return " ".join(f"{count}{unit}" for count, unit, _ in _split(span)) or "0s"


def spell(span: timedelta) -> str:
    """A span in words: `1 hour 30 minutes`."""
    return " ".join(f"{count} {word}{'' if count == 1 else 's'}" for count, _, word in _split(span)) or "no time"


def sum_up(rule: Rule) -> str:
    """The rule's limits in a few words, for a table."""
    match rule.primitive:
        case Wait(cases=cases):
            word = "longer than" if cases[0].longer_than is not None else "at most"
            return f"{word} {', '.join(map(_brief_case, cases))}"
        case Repeat() as repeat:
            return f"{' or '.join(_count(each, repeat) for each in repeat.measures)} within {brief(repeat.within)}"
        case Deadline() as deadline:
            return _sum_up_deadline(deadline)
        case Course() as course:
            return f"{'within' if course.then is not None else 'nothing for'} {brief(course.within)}"
        case Threshold() as threshold:
            return threshold.where or "each"
        case Mismatch(within=within):
            return f"within {brief(within)}"


def _brief_case(case: WaitCase) -> str:
    channels = f" ({', '.join(case.begins.channels)})" if case.begins.channels else ""
    return brief(timedelta(milliseconds=case.limit_ms)) + channels


def _count(measure: Measure, repeat: Repeat) -> str:
    if measure.distinct is not None:
        return f"{measure.count} different {measure.distinct.removesuffix('_id')}s"
    return f"{measure.count} {' or '.join(measure.types) if measure.types else repeat.unit}"


def _kind_of(deadline: Deadline) -> PromiseKind:
    return next(kind for kind in KINDS if kind.name == deadline.promise)


def _sum_up_deadline(deadline: Deadline) -> str:
    kind = _kind_of(deadline)
    if deadline.when == "early":
        return f"at least {brief(deadline.by or timedelta(0))} early"
    if deadline.when == "broken" and kind.span_ms is not None:
        return f"after {brief(kind.span_ms * _MILLISECOND)}"
    if deadline.when == "broken" and not kind.holds:
        return f"after {brief(TELL_MS * _MILLISECOND)}"
    return {"broken": "its time passes", "kept": "kept in time", "lapsed": "it runs out"}[deadline.when]


def say_when(rule: Rule) -> list[str]:
    """When the rule fires: one sentence, or several that each say one way."""
    match rule.primitive:
        case Wait(cases=cases):
            said = [_say_case(case) for case in cases]
        case Repeat() as repeat:
            said = [_say_repeat(repeat)]
        case Deadline() as deadline:
            said = _say_deadline(deadline)
        case Course() as course:
            said = [_say_course(course)]
        case Threshold() as threshold:
            said = [f"Each {_pattern(threshold.pattern)}."]
        case Mismatch() as mismatch:
            said = [_say_mismatch(mismatch)]
    return [*said, *_say_more(rule)]


def _say_case(case: WaitCase) -> str:
    begins, ends, same = _pattern(case.begins), _types(case.ends), _names(case.match, "and")
    limit = spell(timedelta(milliseconds=case.limit_ms))
    if case.shorter_than is not None:
        where = f" (where `{case.ended_where}`)" if case.ended_where else ""
        return f"{begins} is followed, with the same {same}, by {ends}{where} within {limit}."
    return f"{begins}, and for more than {limit} no {ends} with the same {same}."


def _say_repeat(repeat: Repeat) -> str:
    counts = " or ".join(_tell_count(measure, repeat) for measure in repeat.measures)
    text = f"{counts} about the same {_names(repeat.same, 'or')}"
    text += f", each at most {spell(repeat.within)} after the one before"
    if repeat.breaks is not None:
        text += f"; {_pattern(repeat.breaks)} about the same lets the count begin anew"
    return f"{_begin(text)}."


def _tell_count(measure: Measure, repeat: Repeat) -> str:
    types = _pattern(Pattern(types=measure.types or repeat.types, where=repeat.where, channels=repeat.channels))
    if measure.distinct is not None:
        return f"the {_ordinal(measure.count)} different `{measure.distinct}` in {types}"
    return f"the {_ordinal(measure.count)} {types}"


def _say_deadline(deadline: Deadline) -> list[str]:
    kind = _kind_of(deadline)
    settled = _types(sorted(kind.settles)) + (f" (topic {kind.settles_topic})" if kind.settles_topic else "")
    owed = f"{_say_promise(kind)} It is settled by {settled} with the same `{kind.subject}`, or with none."
    match deadline.when:
        case "broken":
            said = "The time of a promise passes while it is owed."
        case "early":
            said = f"A promise is settled at least {spell(deadline.by or timedelta(0))} before the time promised last."
        case "kept":
            trouble = _pattern(deadline.after) if deadline.after else "trouble"
            said = f"A promise is settled by the time promised last, after {trouble} on the same matter."
        case "lapsed":
            reminder = _pattern(deadline.unless) if deadline.unless else "reminder"
            said = f"Its time passes uncollected, or `hold_expired` comes, and no {reminder} since it was made."
    return [said, owed]


def _say_promise(kind: PromiseKind) -> str:
    opened = _types(sorted(kind.opens))
    if kind.span_ms is not None:
        return f"The promise is {spell(kind.span_ms * _MILLISECOND)} from {opened}."
    if not kind.holds:
        told = spell(TELL_MS * _MILLISECOND)
        return f"The promise is made by {opened}, and is due {told} after the product is back, as a fact says."
    moved = f", and moved by {_types(sorted(kind.moves))}" if kind.moves else ""
    return f"The promise is made by {opened}{moved}."


def _say_course(course: Course) -> str:
    first, same = _say_first(course.first), _names(course.match, "and")
    about = f" with the same {same}" if course.match else ""
    without = f" no {_pattern(course.without)}{about}" if course.without is not None else ""
    if course.then is None:
        text = f"{first}, and within {spell(course.within)}{without}"
    else:
        text = f"{first}, then within {spell(course.within)} {_pattern(course.then)}{about}"
        text += f", with{without} in between" if without else ""
    if course.after is not None:
        text += f"; it counts where {_types(course.after.types)} came at most {spell(course.after.within)} before"
    if course.alone is not None:
        names = _names(course.alone.same, "or")
        text += f"; and no other one about the same {names} came within {spell(course.alone.within)} before or after"
    return f"{text}."


def _say_first(first: First) -> str:
    if first.pattern is None:
        return "A friction episode of another rule opens"
    if first.count == 1:
        return _pattern(first.pattern)
    within = spell(first.within or timedelta(0))
    return f"The {_ordinal(first.count)} {_pattern(first.pattern)}, each at most {within} after the one before"


def _say_mismatch(mismatch: Mismatch) -> str:
    same = _names(mismatch.match, "and")
    if mismatch.match_given:
        same += f" (and the same {_names(mismatch.match_given, 'and')}, where the first names it)"
    said, contradicted = _pattern(mismatch.said), _pattern(mismatch.contradicted)
    return f"{said}, and within {spell(mismatch.within)} {contradicted} with the same {same}."


def _say_more(rule: Rule) -> Iterator[str]:
    scope = {name: getattr(rule.scope, name) for name in ("sources", "channels", "stores", "segments")}
    said = [f"{name} {', '.join(values)}" for name, values in scope.items() if values]
    if said:
        yield f"Only for {'; '.join(said)}."
    if rule.calendar is not None:
        yield f"Clocks run in the opening hours of `{rule.calendar}` only."
    if rule.cooldown is not None:
        yield f"What comes within {spell(rule.cooldown)} after the last episode belongs to that one."


def say_end(rule: Rule) -> str:
    """How an episode of the rule ends."""
    ends = [*_say_ends(rule)]
    if rule.resolve.on is not None:
        ends.append(f"with {_pattern(rule.resolve.on)}{_say_same(rule)}")
    if rule.resolve.after is not None:
        ends.append(f"{spell(rule.resolve.after)} after it opened")
    if ends:
        return f"{_begin(', or '.join(ends))}."
    is_moment = rule.primitive_name in ("wait", "deadline", "threshold") or _is_point(rule)
    return "It is a moment, over as it begins." if is_moment else "Never: give it a `resolve`."


def _say_same(rule: Rule) -> str:
    if rule.repeat is not None:
        return f" about the same {_names(rule.repeat.same, 'or')}"
    names = rule.sequence.match if rule.sequence is not None else ()
    return f" with the same {_names(names, 'and')}" if names else ""


def _begin(text: str) -> str:
    return text[:1].upper() + text[1:]


def _is_point(rule: Rule) -> bool:
    return rule.sequence is not None and rule.sequence.then is not None


def _say_ends(rule: Rule) -> Iterator[str]:
    match rule.primitive:
        case Wait(cases=cases) if cases[0].longer_than is not None:
            yield "when the wait ends"
            yield f"{spell(max(case.give_up_after for case in cases))} after it began"
        case Repeat() as repeat:
            if repeat.breaks is not None:
                yield f"with {_pattern(repeat.breaks)} about the same"
            yield f"when nothing more of it has come for more than {spell(repeat.within)}"
        case Deadline(when="broken") as deadline:
            withdraws = _kind_of(deadline).withdraws
            yield "when it is settled"
            if withdraws:
                yield f"taken back by {_types(sorted(withdraws))}"
        case Deadline(when="lapsed"):
            yield "when it is collected after all"


def sum_up_severity(rule: Rule) -> str:
    """`warning, critical after 20m`."""
    steps = [
        f"{step.to} {f'from {step.count} on' if step.after is None else f'after {brief(step.after)}'}"
        for step in rule.escalate
    ]
    return ", ".join([rule.severity, *steps])


def say_severity(rule: Rule) -> str:
    """`warning; critical once open for 20 minutes`."""
    steps = [
        f"{step.to} {f'at {step.count}' if step.after is None else f'once open for {spell(step.after)}'}"
        for step in rule.escalate
    ]
    return "; ".join([rule.severity, *steps])


def _pattern(pattern: Pattern) -> str:
    said = [f"on {', '.join(pattern.channels)}"] if pattern.channels else []
    said += [f"where `{pattern.where}`"] if pattern.where else []
    return _types(pattern.types) + (f" ({', '.join(said)})" if said else "")


def _types(types: Iterable[str]) -> str:
    return _names(tuple(types), "or")


def _names(names: Sequence[str], word: str) -> str:
    *most, last = [f"`{name}`" for name in names] or [""]
    return f"{', '.join(most)} {word} {last}" if most else last


def _ordinal(number: int) -> str:
    ending = "th" if 10 <= number % 100 <= 20 else {1: "st", 2: "nd", 3: "rd"}.get(number % 10, "th")
    return f"{number}{ending}"

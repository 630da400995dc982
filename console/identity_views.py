"""Identity for people: a customer's identifiers as a tree, why two are one, lists and numbers. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from rich import box
from rich.table import Table
from rich.text import Text
from rich.tree import Tree

from console.alert_views import isolate, show_moment
from console.cells import printable, show_cell
from console.identity_family import Decision, Family, Joint, Sighting, Statement, between
from console.identity_names import show_key
from console.identity_words import QUALITY, RULES, SAID, STATUSES, WORDS, counted
from console.sql_results import make_pairs
from schemas.identifiers import KINDS, customer_name
from streams.friction.texts import Language, format_duration

ASKED_MARK = "►"
STATUS_STYLES = {
    "linked": "green",
    "conflict": "yellow",
    "flagged": "bold red",
    "loop": "bold red",
    "unlinked": "magenta",
}
SHOWN_STATEMENTS = 5


def make_tree(family: Family, language: Language) -> Tree:
    """The customer with every identifier that belongs to it, and why; what was asked for is marked."""
    words = WORDS[language]
    tree = Tree(_head(family, language), guide_style="dim")
    branches: list[Tree] = []
    shown = 0
    for key, depth in family.walk():
        if depth == 0:
            for line in _notes(family, key, family.decisions.get(key), language):
                tree.add(line)
            branches = [tree]
            continue
        del branches[depth:]
        branches.append(branches[depth - 1].add(_label(family, key, family.decisions[key], language)))
        shown += 1
    if not shown:
        tree.add(Text(words["alone"], style="dim"))
    if not family.is_whole:
        tree.add(Text(words["more"], style="yellow"))
    return tree


def make_others(family: Family, language: Language) -> Tree | None:
    """Identifiers that were seen with a member and do not belong to the customer; None without any."""
    if not family.others:
        return None
    tree = Tree(Text(WORDS[language]["others"], style="bold"), guide_style="dim")
    for key, decision in family.others.items():
        tree.add(_label(family, key, decision, language))
    return tree


def name_of(key: str, language: Language) -> str:
    """An identifier as it is shown."""
    return isolate(show_key(key), language)


def _head(family: Family, language: Language) -> Text:
    root, words = family.root, WORDS[language]
    kind = "customer" if root.startswith(f"{KINDS[0]}:") else "provisional"
    title = words[kind].format(name=name_of(root, language))
    counts = [counted("identifiers", len(family.members()), language)] if family.is_whole else []
    counts.append(counted("touchpoints", family.touchpoints, language))
    mark = f"{ASKED_MARK} " if root == family.asked else ""
    return Text.assemble((f"{mark}{title}", "bold"), (f"  {' · '.join(counts)}", "dim"))


def _label(family: Family, key: str, decision: Decision, language: Language) -> Text:
    """What an identifier is, why it belongs where it does, and on lines of their own what else there is to say."""
    mark = f"{ASKED_MARK} " if key == family.asked else ""
    label = Text.assemble((f"{mark}{name_of(key, language)}", "bold"), "  ", _reason(family, decision, language))
    for line in _notes(family, key, decision, language):
        label.append("\n  ").append_text(line)
    return label


def _reason(family: Family, decision: Decision, language: Language) -> Text:
    status = STATUSES[language].get(decision.status, decision.status)
    seen = family.seen_with(decision.identifier)
    owners = decision.customers or (seen[0].owners if seen else int(bool(decision.owner)))
    facts = [RULES[language].get(decision.rule, decision.rule), *_evidence(family, decision, language)]
    facts.append(counted("owners", owners, language))
    text = Text(status, style=STATUS_STYLES.get(decision.status, ""))
    return text.append(f" · {' · '.join(filter(None, facts))}", "default")


def _evidence(family: Family, decision: Decision, language: Language) -> Iterator[str]:
    if decision.event_id and decision.source != "console":
        kind = family.types.get((decision.source, decision.event_id), "")
        yield isolate(f"{decision.source}/{decision.event_id}{f' {kind}' if kind else ''}", language)
    if decision.linked_at is not None:
        yield isolate(show_moment(decision.linked_at), language)


def _notes(family: Family, key: str, decision: Decision | None, language: Language) -> Iterator[Text]:
    """Why it is not simply linked, with whom it was seen, and what was said of it."""
    if decision is not None and (said := explain(family, decision, language)):
        yield Text(said, style=STATUS_STYLES.get(decision.status, ""))
    seen = family.seen_with(key)
    if seen and seen[0].owners > 1:
        yield Text(_seen_line(seen, language), style="dim")
    told = family.last_unlinking(key) if decision is not None and decision.status == "unlinked" else None
    for statement in [each for each in family.said_of(key) if each != told][-SHOWN_STATEMENTS:]:
        yield Text(statement_line(statement, language), style="dim")


def explain(family: Family, decision: Decision, language: Language) -> str:
    """One sentence on a state that needs one; empty for `linked`."""
    words = WORDS[language]
    if decision.status == "unlinked" and (act := family.last_unlinking(decision.identifier)):
        return words["unlinked_by"].format(said=statement_line(act, language))
    if decision.status in ("conflict", "flagged", "loop", "unlinked"):
        owner = name_of(decision.owner, language) if decision.owner else words["nobody"]
        return words[decision.status].format(count=decision.customers, owner=owner)
    return ""


def _seen_line(seen: Sequence[Sighting], language: Language) -> str:
    words = WORDS[language]
    shown = [
        words["with"].format(
            owner=name_of(each.owner, language),
            times=counted("times", each.times, language),
            at=isolate(show_moment(each.last_at), language),
        )
        for each in seen
    ]
    rest = seen[0].owners - len(seen)
    shown += [words["and_more"].format(count=rest)] if rest > 0 else []
    return words["seen_with"].format(owners=", ".join(shown))


def statement_line(statement: Statement, language: Language) -> str:
    """Who merged, unlinked or linked what, when and why."""
    done = SAID[language][statement.rule].format(
        by=isolate(statement.by or "?", language),
        source=isolate(statement.source, language),
        owner=name_of(statement.owner, language),
    )
    reason = f": {printable(statement.reason)}" if statement.reason else ""
    return f"{done}, {isolate(show_moment(statement.occurred_at), language)}{reason}"


def joint_lines(first: Family, second: Family, joint: Joint, language: Language) -> Iterator[Text]:
    """Why two identifiers are one customer, hop by hop; or that nothing joins them, and what keeps them apart."""
    words = WORDS[language]
    names = {"first": name_of(first.asked, language), "second": name_of(second.asked, language)}
    if first.asked == second.asked:
        yield Text(words["same"].format(**names))
        return
    if joint.common is not None:
        yield Text(words["joined"].format(**names, name=name_of(first.root, language)), style="bold")
        for family, way in ((first, joint.first), (second, joint.second)):
            yield from _hops(family, way, language)
        return
    yield Text(words["apart"].format(**names), style="bold")
    for family, way in ((first, joint.first), (second, joint.second)):
        yield from _hops(family, way, language) if len(way) > 1 else _standing(family, language)
    sightings, statements = between((first, second), joint)
    for each in sightings:
        yield Text("  " + _pair_line(each, language))
    for said in statements:
        yield Text(f"  {name_of(said.identifier, language)}: {statement_line(said, language)}")


def _hops(family: Family, way: Sequence[str], language: Language) -> Iterator[Text]:
    for key, owner in zip(way, way[1:], strict=False):
        belongs = WORDS[language]["belongs"].format(key=name_of(key, language), owner=name_of(owner, language))
        yield Text.assemble(f"  {belongs}: ", _reason(family, family.decisions[key], language))
        for line in _notes(family, key, family.decisions[key], language):
            yield Text("    ").append_text(line)


def _standing(family: Family, language: Language) -> Iterator[Text]:
    """That an identifier belongs to nobody, and why; or that it is a customer itself."""
    key, decision = family.asked, family.decisions.get(family.asked)
    stands = decision is None or decision.status == "loop"
    yield Text("  " + WORDS[language]["stands" if stands else "none"].format(key=name_of(key, language)))
    if decision is not None:
        for line in _notes(family, key, decision, language):
            yield Text("    ").append_text(line)


def _pair_line(sighting: Sighting, language: Language) -> str:
    return WORDS[language]["pair"].format(
        key=name_of(sighting.identifier, language),
        owner=name_of(sighting.owner, language),
        times=counted("times", sighting.times, language),
        at=isolate(show_moment(sighting.last_at), language),
    )


def make_list(rows: Iterable[Mapping[str, Any]]) -> Table:
    """One line for each identifier, in the colour of its status."""
    table = Table(box=box.SIMPLE_HEAD, header_style="bold", pad_edge=False)
    for name in ("identifier", "status", "belongs to"):
        table.add_column(name, overflow="fold")
    table.add_column("owners", justify="right")
    for name in ("by", "linked (UTC)", "decided (UTC)"):
        table.add_column(name, overflow="fold")
    for row in rows:
        evidence = f"{row['rule']} {row['source']}/{row['event_id']}" if row["event_id"] else row["rule"]
        cells = (
            show_key(row["identifier"]), row["status"], show_key(row["owner"]) if row["owner"] else "-",
            str(row["customers"]), evidence, show_moment(row["linked_at"]), show_moment(row["decided_at"]),
        )  # fmt: skip
        table.add_row(*(Text(printable(cell)) for cell in cells))
        table.rows[-1].style = "" if row["status"] == "linked" else STATUS_STYLES.get(row["status"], "")
    return table


def list_note(shown: int, count: int) -> str:
    """How many there are, and how to see the rest."""
    noun = "identifier" if count == 1 else "identifiers"
    rest = "" if shown >= count else f", of which the latest {shown:,} are shown: --limit 0 shows all"
    return f"{count:,} {noun}{rest}"


def make_quality(row: Mapping[str, Any]) -> Table:
    """The numbers of `analytics.identity_quality`, a line each."""
    return make_pairs((QUALITY.get(name, name), show_number(name, value)) for name, value in row.items())


def show_number(name: str, value: Any) -> str:
    """A number in its unit: shares in percent, times in words; a dash where there is nothing to tell of."""
    if value is None:
        return "-"
    if name.endswith(("_share", "_rate")):
        return f"{100 * value:.1f} %"
    if "seconds" in name:
        return format_duration(value, "en")
    return f"{value:,}" if isinstance(value, int) else show_cell(round(value, 2))


def family_json(family: Family) -> dict[str, Any]:
    """All of it for programs; identifiers as record keys, whole."""
    return {
        "identifier": family.asked,
        "customer": customer_name(family.root),
        "root": family.root,
        "path": family.path(family.asked),
        "touchpoints": family.touchpoints,
        "is_whole": family.is_whole,
        "members": [_member_json(family, key, family.decisions.get(key), depth) for key, depth in family.walk()],
        "others": [_member_json(family, key, decision, None) for key, decision in family.others.items()],
    }


def _member_json(family: Family, key: str, decision: Decision | None, depth: int | None) -> dict[str, Any]:
    found = {"identifier": key, "depth": depth}
    if decision is not None:
        kind = family.types.get((decision.source, decision.event_id))
        found |= {**vars(decision), "type": kind, "explanation": explain(family, decision, "en") or None}
    seen = family.seen_with(key)
    return {
        **found,
        "seen_with_owners": seen[0].owners if seen else 0,
        "seen_with": [_without(each, "identifier", "owners") for each in seen],
        "statements": [_without(each, "identifier") for each in family.said_of(key)],
    }


def joint_json(first: Family, second: Family, joint: Joint) -> dict[str, Any]:
    """Why two are one, for programs."""
    sightings, statements = between((first, second), joint)
    return {
        "is_one": joint.common is not None,
        "common": joint.common,
        "paths": [list(joint.first), list(joint.second)],
        "customers": [customer_name(first.root), customer_name(second.root)],
        "hops": [
            _member_json(family, key, family.decisions[key], None)
            for family, way in ((first, joint.first), (second, joint.second))
            for key in way
            if key in family.decisions and key != joint.common
        ],
        "seen_together": [vars(each) for each in sightings],
        "statements": [vars(each) for each in statements],
    }


def _without(thing: Sighting | Statement, *names: str) -> dict[str, Any]:
    return {name: value for name, value in vars(thing).items() if name not in names}

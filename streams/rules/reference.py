"""The generated part of `docs/rules.md`, from models and rule files. `python -m streams.rules.reference` makes it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from streams.rules.key_tables import describe_keys
from streams.rules.loading import load_rules
from streams.rules.model import Kind, Rule
from streams.rules.wording import say_end, say_severity, say_when, sum_up, sum_up_severity

PAGE = Path(__file__).resolve().parents[2] / "docs" / "rules.md"
MARK = "<!-- From here on made by `python -m streams.rules.reference` from models and rule files; a test checks it. -->"
_KINDS: dict[Kind, str] = {"friction": "Friction", "delight": "Delight", "opportunity": "Opportunity"}


def write_page(page: str) -> str:
    """The page with its generated part made anew; what stands before the mark stays."""
    return f"{page.partition(MARK)[0].rstrip()}\n\n{MARK}\n\n{describe_keys()}\n\n{describe_rules(load_rules())}"


def describe_rules(rules: Sequence[Rule]) -> str:
    """All rules as Markdown: a table of contents for each kind, then a section for each rule."""
    kept = [rule for kind in _KINDS for rule in rules if rule.kind == kind]
    parts = ["## The shipped rules", *map(_contents, _of_each_kind(kept)), *map(_section, kept)]
    return "\n\n".join(parts) + "\n"


def _of_each_kind(rules: Iterable[Rule]) -> list[tuple[Kind, list[Rule]]]:
    kept = list(rules)
    return [(kind, found) for kind in _KINDS if (found := [rule for rule in kept if rule.kind == kind])]


def _contents(group: tuple[Kind, list[Rule]]) -> str:
    kind, rules = group
    head = f"| {_KINDS[kind].lower()} | | | fires | severity |\n|---|---|---|---|---|"
    rows = [
        (f"[`{rule.id}`](#{rule.id})", rule.title.en, rule.title.he, sum_up(rule), sum_up_severity(rule))
        for rule in rules
    ]
    return "\n".join([head, *(f"| {' | '.join(map(_cell, row))} |" for row in rows)])


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


def _section(rule: Rule) -> str:
    sources = ", ".join(f"`{source}`" for source in sorted(rule.depends_on))
    lines = [
        ("For the customer", rule.meaning.en),
        ("Fires", _sentences(say_when(rule))),
        ("Ends", say_end(rule)),
        ("Severity", f"{say_severity(rule)}."),
        ("What to do", rule.advice.en),
        ("Default, and why", rule.why),
        ("Held back while silent", sources),
    ]
    head = f"### {rule.id}\n\n**{rule.title.en}** · **{rule.title.he}** · version {rule.version}"
    return "\n\n".join([head, "\n".join(_item(name, text) for name, text in lines if text)])


def _sentences(sentences: Sequence[str]) -> str:
    if len(sentences) == 1:
        return sentences[0]
    return "".join(f"\n  - {sentence}" for sentence in sentences)


def _item(name: str, text: str) -> str:
    return f"- **{name}**:{'' if text.startswith(chr(10)) else ' '}{text}"


def main() -> None:
    """Write the page."""
    PAGE.write_text(write_page(PAGE.read_text("utf-8")), "utf-8")


if __name__ == "__main__":
    main()

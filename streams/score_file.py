"""Reading the file of score weights, the only part of the scores that touches the disk.

`python -m streams.score_file` writes the tables of docs/scores.md anew.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from datetime import timedelta
from pathlib import Path
from typing import Annotated, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from schemas.durations import Duration, to_milliseconds
from schemas.errors import Misconfigured
from schemas.hints import did_you_mean
from schemas.yaml_files import parse_yaml
from streams.scoring import (
    HIGHEST,
    QUARTERS,
    EffortWeights,
    EpisodePoints,
    ExperienceWeights,
    Step,
    Tariff,
    Weights,
)

SHIPPED = Path(__file__).parent / "scores.yaml"
PAGE = Path(__file__).parent.parent / "docs" / "scores.md"
BEGIN = "<!-- Made by `python -m streams.score_file` from streams/scores.yaml; a test keeps it true. -->"
END = "<!-- End of what is made. -->"
_Number = TypeVar("_Number", bound=float | timedelta)


def _check_quarters(points: float) -> float:
    if points * QUARTERS != round(points * QUARTERS):
        raise ValueError(f"{points:g} is no multiple of {1 / QUARTERS}; write {round(points * QUARTERS) / QUARTERS:g}")
    return points


Points = Annotated[float, Field(strict=True, ge=0, le=HIGHEST, allow_inf_nan=False), AfterValidator(_check_quarters)]
SignedPoints = Annotated[
    float, Field(strict=True, ge=-HIGHEST, le=HIGHEST, allow_inf_nan=False), AfterValidator(_check_quarters)
]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


def _check_rising(values: Iterable[_Number], what: str) -> None:
    values = list(values)
    if values != sorted(values):
        raise ValueError(f"{what} must not fall: {', '.join(map(str, values))}")


class SeverityPoints(_Part):
    """Points of one episode by its severity."""

    info: Points
    warning: Points
    critical: Points

    @model_validator(mode="after")
    def _check_order(self) -> SeverityPoints:
        _check_rising((self.info, self.warning, self.critical), "points from info over warning to critical")
        return self


class FrictionPoints(_Part):
    """Points of a friction episode: `by_rule` goes before `by_severity`."""

    by_severity: SeverityPoints
    by_rule: dict[str, Points] = {}

    def compile(self) -> EpisodePoints:
        """The same for scoring."""
        return EpisodePoints(self.by_severity.model_dump(), self.by_rule)


class DelightPoints(_Part):
    """Points of a delight: `by_rule` goes before `any`."""

    any: Points
    by_rule: dict[str, Points] = {}

    def compile(self) -> EpisodePoints:
        """The same for scoring."""
        return EpisodePoints(dict.fromkeys(SeverityPoints.model_fields, self.any), self.by_rule)


class PromisePoints(_Part):
    """Points of one promise by how it ended."""

    kept: Points
    late: Points
    broken: Points

    @model_validator(mode="after")
    def _check_order(self) -> PromisePoints:
        _check_rising((self.late, self.broken), "points from late to broken")
        return self


class OutcomePoints(_Part):
    """Points of each outcome, with their sign."""

    converted: SignedPoints
    resolved: SignedPoints
    browsing: SignedPoints
    abandoned: SignedPoints
    unresolved: SignedPoints
    returned: SignedPoints


class StepPoints(_Part):
    """Points once something takes longer than `over`."""

    over: Duration
    points: Points


def _check_steps(steps: tuple[StepPoints, ...]) -> tuple[StepPoints, ...]:
    _check_rising((step.over for step in steps), "over")
    _check_rising((step.points for step in steps), "points")
    return steps


Steps = Annotated[tuple[StepPoints, ...], AfterValidator(_check_steps)]


class WaitPoints(_Part):
    """Points for waits in a store queue and for an answer."""

    queue: Steps
    contact: Steps


class TariffPoints(_Part):
    """Points for each of a thing, up to a bound."""

    each: Points
    at_most: Points


class ExperiencePoints(_Part):
    """The key `experience`."""

    base: Points
    friction: FrictionPoints
    delight: DelightPoints
    promises: PromisePoints
    outcome: OutcomePoints
    further_order: Points
    waits: WaitPoints
    late_delivery: Steps


class EffortPoints(_Part):
    """The key `effort`."""

    base: Points
    touchpoints: TariffPoints
    contacts: TariffPoints
    transfers: TariffPoints
    channel_switches: TariffPoints
    lookups: TariffPoints
    waits: WaitPoints
    friction: FrictionPoints


class ScoreFile(_Part):
    """A whole file of weights."""

    version: Annotated[int, Field(strict=True, ge=1)]
    repeats: Annotated[float, Field(strict=True, ge=0, le=1)]
    experience: ExperiencePoints
    effort: EffortPoints

    def compile(self) -> Weights:
        """The same for scoring."""
        return Weights(self.version, self.repeats, _compile_experience(self.experience), _compile_effort(self.effort))


def _compile_experience(points: ExperiencePoints) -> ExperienceWeights:
    return ExperienceWeights(
        base=points.base,
        friction=points.friction.compile(),
        delight=points.delight.compile(),
        kept=points.promises.kept,
        late=points.promises.late,
        broken=points.promises.broken,
        outcome=points.outcome.model_dump(),
        further_order=points.further_order,
        queue_wait=_compile_steps(points.waits.queue),
        contact_wait=_compile_steps(points.waits.contact),
        late_delivery=_compile_steps(points.late_delivery),
    )


def _compile_effort(points: EffortPoints) -> EffortWeights:
    def tariff(given: TariffPoints) -> Tariff:
        return Tariff(given.each, given.at_most)

    return EffortWeights(
        base=points.base,
        touchpoints=tariff(points.touchpoints),
        contacts=tariff(points.contacts),
        transfers=tariff(points.transfers),
        channel_switches=tariff(points.channel_switches),
        lookups=tariff(points.lookups),
        queue_wait=_compile_steps(points.waits.queue),
        contact_wait=_compile_steps(points.waits.contact),
        friction=points.friction.compile(),
    )


def _compile_steps(steps: Steps) -> tuple[Step, ...]:
    return tuple(Step(to_milliseconds(step.over), step.points) for step in steps)


def parse_scores(text: str, name: str) -> ScoreFile:
    """A file of weights from YAML text. Raises Misconfigured with one line: file, line, place, mend."""
    return parse_yaml(text, name, ScoreFile, "a file of score weights begins with `version: 1`")


def load_weights(path: Path = SHIPPED, rules: Collection[str] | None = None) -> Weights:
    """The weights of a file. Raises Misconfigured with one line: file, place, mend.

    `rules`: ids of all rules there are; if given, a `by_rule` that names another is refused.
    """
    try:
        file = parse_scores(path.read_bytes().decode("utf-8"), path.name)
    except UnicodeDecodeError as error:
        raise Misconfigured(f"{path.name}: not YAML: byte {error.start} is not UTF-8") from error
    except OSError as error:
        raise Misconfigured(f"{path}: cannot be read: {error.strerror}") from error
    if rules is not None:
        _check_rules(file, path.name, rules)
    return file.compile()


def _check_rules(file: ScoreFile, name: str, rules: Collection[str]) -> None:
    places = {
        "experience.friction": file.experience.friction.by_rule,
        "experience.delight": file.experience.delight.by_rule,
        "effort.friction": file.effort.friction.by_rule,
    }
    for place, by_rule in places.items():
        for rule in by_rule:
            if rule not in rules:
                hint = did_you_mean(rule, rules) or "give the id of a rule"
                raise Misconfigured(f"{name}: {place}.by_rule.{rule}: there is no such rule; {hint}")


def write_tables(file: ScoreFile) -> str:
    """The weights as Markdown: for each score a table of its parts."""
    lines: list[str] = []
    for score, rows in (("Experience", _experience_rows(file.experience)), ("Effort", _effort_rows(file.effort))):
        lines += [f"### {score}", "", "| part | points | for |", "|---|---|---|"]
        lines += [f"| `{part}` | {points} | {what} |" for part, points, what in rows]
        lines += ["| `limit` | what is needed | a sum below 0 or above 100 |", ""]
    lines.append(f"Version {file.version}; each repeat counts {file.repeats:g} of the one before.")
    return "\n".join(lines) + "\n"


def replace_tables(page: str, tables: str) -> str:
    """The page with other tables between its two marks."""
    before, _, rest = page.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}\n\n{tables}\n{END}{after}"


_Row = tuple[str, str, str]


def _experience_rows(points: ExperiencePoints) -> list[_Row]:
    promises = points.promises
    return [
        ("base", f"{points.base:g}", "every journey"),
        *_friction_rows(points.friction, "−"),
        ("delight.<rule>", f"+{points.delight.any:g}", "each delight of any other rule"),
        *_rule_rows("delight", points.delight.by_rule, "+"),
        ("promises.kept", f"+{promises.kept:g}", "each promise kept in time"),
        ("promises.late", f"−{promises.late:g}", "each promise kept too late"),
        ("promises.broken", f"−{promises.broken:g}", "each promise still owed after its time"),
        *((f"outcome.{name}", _signed(worth), f"the outcome {name}") for name, worth in points.outcome if worth),
        ("orders.further", f"+{points.further_order:g}", "each order after the first"),
        *_wait_rows(points.waits, "−"),
        ("delivery.late", _stairs(points.late_delivery, "−"), "the worst delivery against its latest promise"),
    ]


def _effort_rows(points: EffortPoints) -> list[_Row]:
    return [
        ("base", f"{points.base:g}", "every journey"),
        ("touchpoints", _bounded(points.touchpoints), "each touchpoint"),
        ("contacts", _bounded(points.contacts), "each support contact started"),
        ("transfers", _bounded(points.transfers), "each time passed on within one"),
        ("channel_switches", _bounded(points.channel_switches), "each further channel that the customer had to use"),
        ("lookups", _bounded(points.lookups), "each look where the order is"),
        *_wait_rows(points.waits, "+"),
        *_friction_rows(points.friction, "+"),
    ]


def _friction_rows(points: FrictionPoints, sign: str) -> list[_Row]:
    by_severity = [f"{sign}{worth:g} {name}" for name, worth in points.by_severity if worth]
    others = ("friction.<rule>", ", ".join(by_severity), "each episode of any other rule, by severity")
    return [*([others] if by_severity else []), *_rule_rows("friction", points.by_rule, sign)]


def _rule_rows(kind: str, by_rule: dict[str, float], sign: str) -> list[_Row]:
    return [(f"{kind}.{rule}", f"{sign}{worth:g}", "each") for rule, worth in sorted(by_rule.items())]


def _wait_rows(waits: WaitPoints, sign: str) -> list[_Row]:
    return [
        ("waits.queue", _stairs(waits.queue, sign), "the longest wait in a store queue"),
        ("waits.contact", _stairs(waits.contact, sign), "the longest wait for an answer"),
    ]


def _stairs(steps: Steps, sign: str) -> str:
    return ", ".join(f"{sign}{step.points:g} over {_write_span(step.over)}" for step in steps)


def _bounded(tariff: TariffPoints) -> str:
    return f"+{tariff.each:g}, at most {tariff.at_most:g}"


def _signed(points: float) -> str:
    return f"{points:+g}".replace("-", "−")


def _write_span(span: timedelta) -> str:
    seconds = span.total_seconds()
    name, unit = next((name, unit) for name, unit in _UNITS if seconds >= unit or unit == 1)
    return f"{seconds / unit:g} {name}"


_UNITS = (("d", 86_400), ("h", 3_600), ("min", 60), ("s", 1))


def main() -> None:
    """Write the tables of docs/scores.md anew."""
    file = parse_scores(SHIPPED.read_text("utf-8"), SHIPPED.name)
    PAGE.write_text(replace_tables(PAGE.read_text("utf-8"), write_tables(file)), "utf-8")


if __name__ == "__main__":
    main()

"""Watching the rule files: a change that is whole is taken over while the worker runs, a broken one is told and not."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from schemas.errors import Misconfigured
from streams.friction.plan import Plan
from streams.rules.loading import RuleSet, load_rule_set

Signature = tuple[tuple[str, int, int], ...]


class RuleWatch:
    """The rule set in force. `fault` is one line when the files are broken; the set of before is then kept.

    `changes` is one line that says in what the set differs from the one before.
    """

    def __init__(self, directories: Sequence[Path]) -> None:
        """Raises Misconfigured when the files are broken already: there is no set of before."""
        self._directories = tuple(directories)
        self._signature = self._sign()
        self.rule_set: RuleSet = load_rule_set(self._directories)
        self.fault: str | None = None
        self.changes = ""

    @property
    def plan(self) -> Plan:
        """The rules made ready."""
        return Plan(self.rule_set.rules, self.rule_set.calendars)

    def reload(self) -> bool:
        """Look at the files; returns whether other rules are in force now. Reads them only if they have changed."""
        signature = self._sign()
        if signature == self._signature:
            return False
        self._signature = signature
        try:
            found = load_rule_set(self._directories)
        except Misconfigured as error:
            self.fault = str(error)
            return False
        self.fault = None
        if found.digest == self.rule_set.digest:
            return False
        self.changes = describe_changes(self.rule_set, found)
        self.rule_set = found
        return True

    def _sign(self) -> Signature:
        """What tells that a file came, went or changed."""
        found = [path for directory in self._directories for path in sorted(directory.glob("*.y*ml"))]
        return tuple(_sign_file(path) for path in found)


def describe_changes(former: RuleSet, latter: RuleSet) -> str:
    """Which rules came, went or changed, and whether calendars did: `changed: wismo, long_wait; off: promoter`."""
    before, after = ({rule.id: rule for rule in each.rules} for each in (former, latter))
    hours, new_hours = ({name: each.opening for name, each in one.calendars.items()} for one in (former, latter))
    kinds = {
        "changed": [name for name in after if name in before and before[name] != after[name]],
        "on": [name for name in after if name not in before],
        "off": [name for name in before if name not in after],
        "calendars": sorted(name for name in hours | new_hours if hours.get(name) != new_hours.get(name)),
    }
    return "; ".join(f"{kind}: {', '.join(names)}" for kind, names in kinds.items() if names)


def _sign_file(path: Path) -> tuple[str, int, int]:
    try:
        state = path.stat()
    except OSError:
        return str(path), 0, 0
    return str(path), state.st_mtime_ns, state.st_size

"""Watching one customer: all rules over all touches, touch by touch. What is found is a function of the set of touches.

A touch in order costs the folds that look at its type; a review costs the matters that it changed, and those whose time
has come. A touch out of order has the folds that look at it begin anew at the next review.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping, Sequence
from typing import NamedTuple, cast

from streams.friction.board import Board, Origin
from streams.friction.deadlines import DeadlineFold
from streams.friction.finding import Finding
from streams.friction.matter import Fold, Matter, is_in_scope
from streams.friction.plan import Plan
from streams.friction.sequels import Sequel, merge_cooled
from streams.promises import FOREVER_MS, KIND_BY_TYPE, Promise
from streams.rules.model import Rule
from streams.touch import Touch

RECHECK_MS = 60_000
"""What a silent source holds back is looked at again after this time."""
Changes = dict[str, Finding | None]
"""What is found now, by episode id, where it differs from before; None: nothing any more."""


class History(NamedTuple):
    """What is known of a customer: all touches in order, those of them that are signals, and the promises."""

    order: Sequence[Touch]
    signals: Sequence[Touch]
    promises: Sequence[Promise]


class Circumstances(NamedTuple):
    """What decides besides the touches: the time, since when which sources are silent, and which episodes are known.

    What rests on a silent source's saying nothing is held back unless it is known already.
    """

    now_ms: int
    silent: Mapping[str, int]
    known: Container[str]


class Watch:
    """What all rules find about one customer. `due_ms`: when time alone may change it; `shown`: what is found."""

    __slots__ = (
        "_board", "_changed", "_due", "_folds", "_graver_ms", "_has_deadlines", "_held", "_live", "_kinds", "_sequels",
        "_stale", "due_ms", "plan", "shown",
    )  # fmt: skip

    def __init__(self, plan: Plan, key: str) -> None:
        self.plan = plan
        self.due_ms = FOREVER_MS
        self.shown: dict[str, Finding] = {}
        self._board = Board(key)
        self._folds: dict[int, Fold] = {}
        self._changed: set[Matter] = set()
        self._due: dict[Origin, int] = {}
        self._graver_ms = FOREVER_MS
        self._has_deadlines = False
        self._held: set[str] = set()
        self._sequels: dict[tuple[str, str], Sequel] = {}
        self._live: set[tuple[str, str]] = set()
        self._stale: set[int] = set()
        self._kinds: set[str] = set()

    def feed(self, touch: Touch) -> None:
        """Take a signal that comes after all others in order."""
        kind, folds = touch.type, self._folds
        for number, begins in self.plan.routes.get(kind, ()):
            fold = folds.get(number)
            if fold is None:
                if not begins:
                    continue
                fold = self._make(number)
            fold.feed(touch, self._changed)
        promised = KIND_BY_TYPE.get(kind)
        if promised is not None:
            self._kinds.add(promised.name)
        if kind in self.plan.beside:
            self._kinds.update(self.plan.beside[kind])

    def upset(self, types: Iterable[str]) -> None:
        """Touches of these types came or went out of order."""
        routes, folds = self.plan.routes, self._folds
        for kind in types:
            # Where nothing has begun, what only goes on changes nothing.
            self._stale.update([number for number, begins in routes.get(kind, ()) if begins or number in folds])
        self._kinds.update(self.plan.deadlines)
        for sequel in self._sequels.values():
            sequel.forget()
        self._live.update(self._sequels)

    def consider_promises(self) -> None:
        """Promises have changed though no touch has come: facts have."""
        self._kinds.update(self.plan.deadlines)

    def needs_review(self, now_ms: int, has_promises: bool) -> bool:
        """Whether a review could find something new."""
        if self._kinds and not has_promises and not self._has_deadlines:
            # What moves and settles promises has come, and there are none.
            self._kinds.clear()
        return bool(now_ms >= self.due_ms or self._changed or self._kinds or self._stale or self._live or self._held)

    def review(self, history: History, circumstances: Circumstances) -> Changes:
        """What changed since the last review."""
        now_ms = circumstances.now_ms
        if self._stale:
            self._begin_anew(history.signals)
        due = [o for o, due_ms in self._due.items() if due_ms <= now_ms] if now_ms >= self.due_ms else []
        self._judge_matters(due, now_ms)
        self._kinds.update(origin.promise for origin in due if isinstance(origin, DeadlineFold))
        if self._kinds:
            self._judge_promises(history.promises, now_ms)
        changes = self._show(circumstances)
        if self.plan.sequels and (changes or self._live or due):
            self._follow(changes, due, history.order, now_ms)
            changes.update(self._show(circumstances))
        self.due_ms = min(self._graver_ms, min(self._due.values(), default=FOREVER_MS))
        if self._held:
            self.due_ms = min(self.due_ms, now_ms + RECHECK_MS)
        return changes

    def _make(self, number: int) -> Fold:
        fold = self._folds[number] = self.plan.makers[number][1]()
        self._has_deadlines = self._has_deadlines or isinstance(fold, DeadlineFold)
        return fold

    def _begin_anew(self, signals: Sequence[Touch]) -> None:
        """Fold all signals again for the rules that are out of step. A rule's folds begin anew together."""
        routes = self.plan.routes
        rules = frozenset([self.plan.makers[number][0].id for number in self._stale])
        stale = {number for rule in rules for number in self.plan.numbers[rule]}
        for origin in {*self._board.origins_of(rules), *(each for each in self._due if each.rule.id in rules)}:
            if not isinstance(origin, DeadlineFold):
                self._board.put(origin, ())
                self._due.pop(origin, None)
        for number in stale:
            self._drop_fold(number)
        self._changed = {matter for matter in self._changed if matter.rule.id not in rules}
        folds = self._folds
        for touch in signals:
            for number, begins in routes.get(touch.type, ()):
                if number in stale and (begins or number in folds):
                    (folds.get(number) or self._make(number)).feed(touch, self._changed)
        self._stale = set()

    def _drop_fold(self, number: int) -> None:
        fold = self._folds.pop(number, None)
        if isinstance(fold, DeadlineFold):
            self._board.put(fold, ())
            self._due.pop(fold, None)

    def _judge_matters(self, due: Iterable[Origin], now_ms: int) -> None:
        matters = self._changed
        matters.update(cast(Matter, o) for o in due if not isinstance(o, DeadlineFold | Sequel))
        for matter in matters:
            finding, due_ms = matter.judge(now_ms)
            self._wait(matter, due_ms)
            self._board.put(matter, () if finding is None else (finding,))
        self._changed = set()

    def _wait(self, origin: Origin, due_ms: int) -> None:
        if due_ms < FOREVER_MS:
            self._due[origin] = due_ms
        else:
            self._due.pop(origin, None)

    def _judge_promises(self, promises: Sequence[Promise], now_ms: int) -> None:
        if not promises and not self._has_deadlines:
            self._kinds.clear()
            return
        for kind in self._kinds:
            concerned = [promise for promise in promises if promise.kind.name == kind]
            for number in self.plan.deadlines.get(kind, ()):
                fold = self._folds.get(number)
                if fold is None:
                    if not concerned:
                        continue
                    fold = self._make(number)
                self._judge_deadlines(cast(DeadlineFold, fold), concerned, now_ms)
        self._kinds.clear()

    def _judge_deadlines(self, fold: DeadlineFold, promises: Sequence[Promise], now_ms: int) -> None:
        due_ms, found = FOREVER_MS, []
        for finding, changes_ms in fold.judge(promises, now_ms):
            due_ms = min(due_ms, changes_ms)
            if finding is not None:
                found.append(finding)
        self._board.put(fold, found)
        self._wait(fold, due_ms)

    def _follow(self, changes: Changes, due: Iterable[Origin], order: Sequence[Touch], now_ms: int) -> None:
        """Judge what follows friction: where the friction is new or gone, where touches can still count, or due."""
        for episode_id, finding in changes.items():
            rule = self._board.rule_of(episode_id)
            if rule.kind == "friction" and not rule.is_sequel:
                for sequel_rule in self.plan.sequels:
                    self._cause(sequel_rule, episode_id, finding)
        judged = {name for name, sequel in self._sequels.items() if sequel in due} if due else set()
        last_ms = order[-1].occurred_ms if order else 0
        for name in (*self._live, *judged):
            sequel = self._sequels[name]
            verdict, due_ms = sequel.judge(order, now_ms)
            self._wait(sequel, due_ms)
            self._board.put(sequel, () if verdict is None else (verdict,))
        self._live = {name for name in self._live if self._sequels[name].ends_ms >= last_ms}

    def _cause(self, rule: Rule, episode_id: str, finding: Finding | None) -> None:
        name = rule.id, episode_id
        sequel = self._sequels.get(name)
        if sequel is not None and (finding is None or finding.opened_ms != sequel.cause.opened_ms):
            self._board.put(sequel, ())
            self._due.pop(sequel, None)
            del self._sequels[name]
            self._live.discard(name)
            sequel = None
        if finding is None or rule.sequence is None or not is_in_scope(rule, finding.anchor):
            return
        if sequel is None:
            self._sequels[name] = Sequel(rule, rule.sequence, self.plan.clock_of(rule), finding)
        else:
            sequel.cause = finding
        self._live.add(name)

    def _show(self, circumstances: Circumstances) -> Changes:
        """Bring `shown` up to date with what was touched; returns what changed."""
        changes: Changes = {}
        touched = self._board.take_touched()
        if self._held:
            touched = touched | self._held
        if not touched and circumstances.now_ms < self._graver_ms:
            return changes
        self._held = set()
        rules = {episode_id: self._board.rule_of(episode_id) for episode_id in sorted(touched)}
        cooled = {rule.id for rule in rules.values() if rule.cooldown is not None}
        if circumstances.now_ms >= self._graver_ms:
            cooled |= {finding.rule.id for finding in self.shown.values() if finding.rule.cooldown is not None}
        if cooled:
            self._graver_ms = FOREVER_MS
        for rule_id in sorted(cooled):
            self._show_cooled(rule_id, circumstances, changes)
        for episode_id, rule in rules.items():
            if rule.cooldown is None:
                self._set(episode_id, self._board.get(episode_id), circumstances, changes)
        return changes

    def _show_cooled(self, rule_id: str, circumstances: Circumstances, changes: Changes) -> None:
        merged: dict[str, Finding] = {}
        by_subject: dict[str, list[Finding]] = {}
        for finding in self._board.all_of(rule_id):
            by_subject.setdefault("" if finding.rule.is_sequel else finding.subject, []).append(finding)
        for findings in by_subject.values():
            cooled, due_ms = merge_cooled(findings, findings[0].rule.cooldown_ms, circumstances.now_ms)
            self._graver_ms = min(self._graver_ms, due_ms)
            merged.update((self._board.name(finding), finding) for finding in cooled)
        gone = [each for each, finding in self.shown.items() if finding.rule.id == rule_id and each not in merged]
        for episode_id in gone:
            self._set(episode_id, None, circumstances, changes)
        for episode_id, finding in merged.items():
            self._set(episode_id, finding, circumstances, changes)

    def _set(self, episode_id: str, finding: Finding | None, circumstances: Circumstances, changes: Changes) -> None:
        if finding is not None and self._is_held(episode_id, finding, circumstances):
            self._held.add(episode_id)
            return
        if finding == self.shown.get(episode_id):
            return
        changes[episode_id] = finding
        if finding is None:
            del self.shown[episode_id]
        else:
            self.shown[episode_id] = finding

    def _is_held(self, episode_id: str, finding: Finding, circumstances: Circumstances) -> bool:
        silent = circumstances.silent
        if not silent or not finding.awaits or episode_id in self.shown or episode_id in circumstances.known:
            return False
        return any(finding.opened_ms > silent[name] for name in finding.awaits if name in silent)

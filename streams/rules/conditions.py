"""The conditions of rule files: `where: "metric == 'nps' and score >= 9"`.

The grammar and its parser are those of the library rule-engine, cut down to comparisons that cannot hang, look into
objects or read a clock. The parsed tree becomes plain functions over a touch, because here a comparison with something
absent is false, which the library does not know, and because its own evaluation costs some ten times as much.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal

from schemas.hints import did_you_mean
from streams.rules.names import Name, names_of
from streams.touch import Touch

MAX_CHARACTERS = 500
_LARGEST_NUMBER = 2**53

Test = Callable[[Touch], bool]


@dataclass(frozen=True, slots=True)
class Condition:
    """One compiled condition. `names` are the properties that it needs."""

    text: str
    names: frozenset[str]
    _test: Test = field(repr=False, compare=False)

    def holds(self, touch: Touch) -> bool:
        """Whether it is true of a touch. A comparison with something absent is false; nothing is raised."""
        return self._test(touch)


def compile_condition(text: str, types: Sequence[str]) -> Condition:
    """The condition that a text states about touchpoints of these types.

    Raises ValueError with one line that says what is wrong and how it is mended.
    """
    if len(text) > MAX_CHARACTERS:
        raise ValueError(
            f"a condition has at most {MAX_CHARACTERS} characters, and this one {len(text)}: make it shorter"
        )
    known = names_of(types)
    used = _check_words(text, known)
    # The library takes half a second to begin, and most commands never read a condition.
    from streams.rules.condition_trees import compile_tree

    test = compile_tree(text, known)
    return Condition(text, frozenset(name for name in used if known[name].is_property), test)


_WORD = re.compile(
    r"""(?P<blank>[ \t\n]+)
    | (?P<text>'(?:[^'\\\n]|\\.)*'|"(?:[^"\\\n]|\\.)*")
    | (?P<number>[0-9]+(?:\.[0-9]+)?(?![\w.]))
    | (?P<name>[A-Za-z_][A-Za-z0-9_]*)
    | (?P<sign>(?:==|!=|<=|>=|<|>)(?![=~<>])|[()\[\],-])""",
    re.VERBOSE,
)
_KEYWORDS = ("and", "or", "not", "in", "true", "false", "null")
_MENDS = {
    "=~": "regular expressions are not allowed, they can take for ever; for a part of a text write 'part' in name",
    "!~": "regular expressions are not allowed, they can take for ever; for a part of a text write not 'part' in name",
    "=>": "write >=",
    "=<": "write <=",
    "<>": "write !=",
    "==": "compare with ==",
    "=": "compare with ==",
    "!": "write `not`, or != between two values",
    "&": "write `and`",
    "|": "write `or`",
    "$": "the built-in names are not allowed: a rule may not read the clock",
    "'": "this quote has no end",
    '"': "this quote has no end",
    "{": "write a list as [1, 2]",
    "#": "no comment may stand here; write it as a comment of the file",
}
ALLOWED = (
    "allowed are names, 'texts', numbers, true, false, null, == != < <= > >=, in, not in, and, or, not, ( ) and [ ]"
)


def _check_words(text: str, known: Mapping[str, Name]) -> frozenset[str]:
    """The names that stand in the text. Raises ValueError for a word that is not allowed."""
    # Before the library sees it: while it parses, it already computes, and 9 ** 9 ** 9 or 1 << 10**9 take for ever.
    used: set[str] = set()
    place = 0
    while place < len(text):
        word = _WORD.match(text, place)
        if word is None:
            raise ValueError(f"{place_of(text, place)}: {_mend(text[place:])}")
        if word.lastgroup == "name" and word.group() not in _KEYWORDS:
            _check_name(word.group(), known)
            used.add(word.group())
        if word.lastgroup == "number" and Decimal(word.group()) > _LARGEST_NUMBER:
            raise ValueError(
                f"the number {word.group()[:20]} is too large: at most {_LARGEST_NUMBER} is compared exactly"
            )
        place = word.end()
    return frozenset(used)


def _check_name(name: str, known: Mapping[str, Name]) -> None:
    if name in known:
        return
    if name.lower() in _KEYWORDS:
        raise ValueError(f"unknown name {name!r}; did you mean {name.lower()}?")
    hint = "did you mean null?" if name == "None" else did_you_mean(name, known) or "a text stands in quotes;"
    raise ValueError(f"unknown name {name!r}; {hint} known are {', '.join(known)}")


def place_of(text: str, place: int) -> str:
    return f"at character {place + 1}, {text[place : place + 12]!r}"


def _mend(rest: str) -> str:
    return next((mend for sign, mend in _MENDS.items() if rest.startswith(sign)), ALLOWED)

"""The conditions of rule files: `where: "metric == 'nps' and score >= 9"`.

The grammar and its parser are those of the library rule-engine, cut down to comparisons that cannot hang, look into
objects or read a clock. The parsed tree becomes plain functions over a touch, because here a comparison with something
absent is false, which the library does not know, and because its own evaluation costs some ten times as much.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

import rule_engine
from rule_engine import ast
from rule_engine.errors import EngineError, RuleSyntaxError

from schemas.hints import did_you_mean
from streams.rules.names import Kind, Name, names_of
from streams.touch import Touch

MAX_CHARACTERS = 500
_LARGEST_NUMBER = 2**53

_Test = Callable[[Touch], bool]
_Reader = Callable[[Touch], Any]
_Operator = Callable[[Any, Any], bool]


@dataclass(frozen=True, slots=True)
class Condition:
    """One compiled condition. `names` are the properties that it needs."""

    text: str
    names: frozenset[str]
    _test: _Test = field(repr=False, compare=False)

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
    compiler = _Compiler(known)
    test = compiler.test(_parse(text))
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
_ALLOWED = (
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
            raise ValueError(f"{_place(text, place)}: {_mend(text[place:])}")
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


def _place(text: str, place: int) -> str:
    return f"at character {place + 1}, {text[place : place + 12]!r}"


def _mend(rest: str) -> str:
    return next((mend for sign, mend in _MENDS.items() if rest.startswith(sign)), _ALLOWED)


def _parse(text: str) -> Any:
    if not text.strip():
        raise ValueError("the condition is empty: leave `where` out, or write one such as order_id != null")
    try:
        return rule_engine.Rule(text, rule_engine.Context(default_timezone="utc")).statement.expression
    except RuleSyntaxError as error:
        if error.token is None:
            raise ValueError(f"{text.strip()[-12:]!r} is not the end: a value or a bracket is missing there") from error
        raise ValueError(f"{_place(text, error.token.lexpos)}: not expected here; {_ALLOWED}") from error
    except (EngineError, RecursionError) as error:
        raise ValueError(f"not understood: {getattr(error, 'message', 'nested too deep')}; {_ALLOWED}") from error


_ORDERS: dict[str, _Operator] = {"lt": operator.lt, "le": operator.le, "gt": operator.gt, "ge": operator.ge}
_EQUALS: dict[str, _Operator] = {"eq": operator.eq, "ne": operator.ne}
_MIRRORED = {"lt": "gt", "le": "ge", "gt": "lt", "ge": "le"}
_FITTING: dict[Kind, tuple[type, ...]] = {"text": (str,), "number": (int, float), "truth": (bool,), "moment": (int,)}
_SPOKEN: dict[Kind, str] = {
    "text": "text",
    "number": "a number",
    "truth": "true or false",
    "moment": "a moment (milliseconds since 1970)",
}


@dataclass(frozen=True, slots=True)
class _Compiler:
    """Turns the library's tree into functions. Each method raises ValueError for what makes no sense."""

    names: Mapping[str, Name]

    def test(self, node: Any) -> _Test:
        """What can be true or false by itself."""
        if isinstance(node, ast.LogicExpression):
            return _join(node.type, self.test(node.left), self.test(node.right))
        if isinstance(node, ast.UnaryExpression) and node.type == "not":
            return self._negation(node.right)
        if isinstance(node, ast.ContainsExpression):
            return self._containment(node.member, node.container, negated=False)
        if isinstance(node, ast.ComparisonExpression):
            return self._comparison(node.type, node.left, node.right)
        if isinstance(node, ast.SymbolExpression):
            return self._truth(self.names[node.name])
        if isinstance(node, ast.LiteralExpressionBase):
            raise ValueError(
                "a part of the condition looks at no name, so it is always the same: a name stands without quotes"
            )
        raise ValueError(f"not understood; {_ALLOWED}")

    def _negation(self, node: Any) -> _Test:
        if isinstance(node, ast.ContainsExpression):
            return self._containment(node.member, node.container, negated=True)
        test = self.test(node)
        return lambda touch: not test(touch)

    def _truth(self, name: Name) -> _Test:
        if name.kind != "truth":
            raise ValueError(f"{name.text!r} is {_SPOKEN[name.kind]}: compare it with something, or with null")
        read = _reader(name)
        return lambda touch: read(touch) is True

    def _comparison(self, type_: str, left: Any, right: Any) -> _Test:
        if not isinstance(left, ast.SymbolExpression):
            left, right, type_ = right, left, _MIRRORED.get(type_, type_)
        name = self._name(left)
        if isinstance(right, ast.NullExpression):
            return _absence(name, type_)
        if type_ in _ORDERS and name.kind not in ("number", "moment"):
            raise ValueError(f"{name.text!r} is {_SPOKEN[name.kind]}: only numbers and moments are less or more")
        compare = _ORDERS.get(type_) or _EQUALS[type_]
        if not isinstance(right, ast.SymbolExpression):
            return _compared(_reader(name), compare, _value(right, name))
        other = self.names[right.name]
        if name.kind != other.kind:
            kinds = f"{name.text!r} is {_SPOKEN[name.kind]} and {other.text!r} is {_SPOKEN[other.kind]}"
            raise ValueError(f"{kinds}: compare things of one kind")
        return _compared_with_another(_reader(name), compare, _reader(other))

    def _containment(self, member: Any, container: Any, *, negated: bool) -> _Test:
        if isinstance(container, ast.ArrayExpression) and isinstance(member, ast.SymbolExpression):
            name = self.names[member.name]
            return _among(_reader(name), [_value(each, name) for each in container.value], negated)
        if isinstance(container, ast.SymbolExpression) and isinstance(member, ast.StringExpression):
            name = self.names[container.name]
            if name.kind != "text":
                raise ValueError(f"{name.text!r} is {_SPOKEN[name.kind]}: only a text has parts")
            return _within(member.value, _reader(name), negated)
        raise ValueError("before and after `in` stand name in ['one', 'other'], or 'part' in name")

    def _name(self, node: Any) -> Name:
        if not isinstance(node, ast.SymbolExpression):
            raise ValueError("a comparison needs a name on one side and a value on the other, as in score >= 9")
        return self.names[node.name]


def _value(node: Any, name: Name) -> Any:
    """The value of a literal. Raises ValueError where it cannot be one of the name's values."""
    value = getattr(node, "value", None)
    if isinstance(value, Decimal):
        value = int(value) if value == value.to_integral_value() else float(value)
    if not isinstance(node, ast.LiteralExpressionBase) or not isinstance(value, str | int | float):
        raise ValueError(f"{name.text!r} is {_SPOKEN[name.kind]}: compare it with one value, in a list with several")
    fitting = (int, float) if name.kind == "moment" else _FITTING[name.kind]
    if type(value) not in fitting:
        shown = repr(value) if isinstance(value, str) else str(value).lower()
        raise ValueError(f"{name.text!r} is {_SPOKEN[name.kind]}, and {shown} is not{_quoting(value, name)}")
    if name.choices and value not in name.choices:
        hint = did_you_mean(str(value), name.choices)
        choices = ", ".join(name.choices)
        raise ValueError(f"{name.text!r} is never {value!r}; {hint + ' ' if hint else ''}it is one of {choices}")
    return value


def _quoting(value: Any, name: Name) -> str:
    if name.kind == "text":
        return f": write {str(value).lower()!r} in quotes"
    return ": write it without quotes" if isinstance(value, str) else ""


def _reader(name: Name) -> _Reader:
    """Reads a touch's value of a name; None where there is none, or one of another kind."""
    read_field = operator.attrgetter(name.text)
    read_property = _property_reader(name.text, _FITTING[name.kind])
    if not name.is_property:
        return read_field
    if not name.is_field:
        return read_property
    return lambda touch: value if (value := read_field(touch)) is not None else read_property(touch)


def _property_reader(name: str, fitting: tuple[type, ...]) -> _Reader:
    def read(touch: Touch) -> Any:
        details = touch.details
        if details is None:
            return None
        value = details.get(name)
        return value if type(value) in fitting else None

    return read


def _join(type_: str, left: _Test, right: _Test) -> _Test:
    if type_ == "and":
        return lambda touch: left(touch) and right(touch)
    return lambda touch: left(touch) or right(touch)


def _absence(name: Name, type_: str) -> _Test:
    read = _reader(name)
    if type_ == "eq":
        return lambda touch: read(touch) is None
    if type_ == "ne":
        return lambda touch: read(touch) is not None
    raise ValueError(f"{name.text!r} is compared with null: use == or !=")


def _compared(read: _Reader, compare: _Operator, expected: Any) -> _Test:
    return lambda touch: (value := read(touch)) is not None and compare(value, expected)


def _compared_with_another(read: _Reader, compare: _Operator, read_other: _Reader) -> _Test:
    def test(touch: Touch) -> bool:
        value, other = read(touch), read_other(touch)
        return value is not None and other is not None and compare(value, other)

    return test


def _among(read: _Reader, values: Collection[Any], negated: bool) -> _Test:
    if not values:
        raise ValueError("a list after `in` has at least one value")
    among = frozenset(values)
    if negated:
        return lambda touch: (value := read(touch)) is not None and value not in among
    return lambda touch: read(touch) in among


def _within(part: str, read: _Reader, negated: bool) -> _Test:
    return lambda touch: (value := read(touch)) is not None and (part in value) != negated

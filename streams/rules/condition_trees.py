"""Conditions as the library rule-engine parses them, and the functions over touches that they become. Pure."""

from __future__ import annotations

import operator
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import rule_engine
from rule_engine import ast
from rule_engine.errors import EngineError, RuleSyntaxError

from schemas.hints import did_you_mean
from streams.rules.conditions import ALLOWED, Test, place_of
from streams.rules.names import Kind, Name
from streams.touch import Touch

_Reader = Callable[[Touch], Any]
_Operator = Callable[[Any, Any], bool]


def compile_tree(text: str, names: Mapping[str, Name]) -> Test:
    """The function that a condition with none but allowed words becomes. Raises ValueError as `compile_condition`."""
    return _Compiler(names).test(_parse(text))


def _parse(text: str) -> Any:
    if not text.strip():
        raise ValueError("the condition is empty: leave `where` out, or write one such as order_id != null")
    try:
        return rule_engine.Rule(text, rule_engine.Context(default_timezone="utc")).statement.expression
    except RuleSyntaxError as error:
        if error.token is None:
            raise ValueError(f"{text.strip()[-12:]!r} is not the end: a value or a bracket is missing there") from error
        raise ValueError(f"{place_of(text, error.token.lexpos)}: not expected here; {ALLOWED}") from error
    except (EngineError, RecursionError) as error:
        raise ValueError(f"not understood: {getattr(error, 'message', 'nested too deep')}; {ALLOWED}") from error


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

    def test(self, node: Any) -> Test:
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
        raise ValueError(f"not understood; {ALLOWED}")

    def _negation(self, node: Any) -> Test:
        if isinstance(node, ast.ContainsExpression):
            return self._containment(node.member, node.container, negated=True)
        test = self.test(node)
        return lambda touch: not test(touch)

    def _truth(self, name: Name) -> Test:
        if name.kind != "truth":
            raise ValueError(f"{name.text!r} is {_SPOKEN[name.kind]}: compare it with something, or with null")
        read = _reader(name)
        return lambda touch: read(touch) is True

    def _comparison(self, type_: str, left: Any, right: Any) -> Test:
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

    def _containment(self, member: Any, container: Any, *, negated: bool) -> Test:
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


def _join(type_: str, left: Test, right: Test) -> Test:
    if type_ == "and":
        return lambda touch: left(touch) and right(touch)
    return lambda touch: left(touch) or right(touch)


def _absence(name: Name, type_: str) -> Test:
    read = _reader(name)
    if type_ == "eq":
        return lambda touch: read(touch) is None
    if type_ == "ne":
        return lambda touch: read(touch) is not None
    raise ValueError(f"{name.text!r} is compared with null: use == or !=")


def _compared(read: _Reader, compare: _Operator, expected: Any) -> Test:
    return lambda touch: (value := read(touch)) is not None and compare(value, expected)


def _compared_with_another(read: _Reader, compare: _Operator, read_other: _Reader) -> Test:
    def test(touch: Touch) -> bool:
        value, other = read(touch), read_other(touch)
        return value is not None and other is not None and compare(value, other)

    return test


def _among(read: _Reader, values: Collection[Any], negated: bool) -> Test:
    if not values:
        raise ValueError("a list after `in` has at least one value")
    among = frozenset(values)
    if negated:
        return lambda touch: (value := read(touch)) is not None and value not in among
    return lambda touch: read(touch) in among


def _within(part: str, read: _Reader, negated: bool) -> Test:
    return lambda touch: (value := read(touch)) is not None and (part in value) != negated

"""Texts in YAML as pydantic models; what is wrong is told in one line with file, line, place and mend."""

from __future__ import annotations

import types
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, TypeVar, Union, get_args, get_origin

import yaml
from pydantic import BaseModel, RootModel, ValidationError
from pydantic_core import ErrorDetails

from schemas.errors import Misconfigured
from schemas.faults import place_of, tell_plainly
from schemas.hints import did_you_mean

Model = TypeVar("Model", bound=BaseModel)
Location = tuple[int | str, ...]


def parse_yaml(text: str, name: str, model: type[Model], expected: str) -> Model:
    """The model that a YAML text states.

    Keys are the text that stands there (`on:` is no truth, `1:` no number), and each stands once; times and days are
    texts too. `name` is the file's in messages; `expected` is told to who gives no mapping at all. Raises
    `Misconfigured`: `file:line: place: what is wrong; did you mean …`.
    """
    try:
        tree = yaml.compose(text, Loader=yaml.SafeLoader)
        found = yaml.load(text, Loader=_Loader)
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise Misconfigured(_yaml_fault(name, text, error)) from error
    if tree is None:
        raise Misconfigured(f"{name}:1: is empty: {expected}")
    if not isinstance(found, dict):
        raise Misconfigured(f"{name}:1: {expected}")
    try:
        return model.model_validate(found)
    except ValidationError as error:
        fault = _most_telling(error.errors(include_url=False))
        raise Misconfigured(f"{name}:{_line_of(tree, place_of(fault))}: {_mend(fault, model)}") from error


def find_line(text: str, location: Location) -> int:
    """The line of YAML text, which must be sound, where the innermost key or element of a location stands."""
    tree = yaml.compose(text, Loader=yaml.SafeLoader)
    return 1 if tree is None else _line_of(tree, location)


def _most_telling(faults: list[ErrorDetails]) -> ErrorDetails:
    """The one to mend first. A key that is missing may stand there misspelt; a list is short for its bad elements."""
    inner = {fault["loc"][:size] for fault in faults for size in range(len(fault["loc"]))}
    kept = [fault for fault in faults if fault["type"] != "too_short" or fault["loc"] not in inner]
    return min(kept, key=lambda fault: fault["type"] == "missing")


class _Loader(yaml.SafeLoader):
    """Safe YAML whose keys are the text that stands there, each once: `1:`, `yes:` and `true:` are names too."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[str] = set()
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode) and key.tag != "tag:yaml.org,2002:merge":
                key.tag = "tag:yaml.org,2002:str"
                if key.value in seen:
                    raise yaml.constructor.ConstructorError(None, None, f"{key.value!r} stands twice", key.start_mark)
                seen.add(key.value)
        return super().construct_mapping(node, deep)


# A day stays the text that stands there, so that the model can say what is wrong with it, and where.
_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag != "tag:yaml.org,2002:timestamp"]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


def _yaml_fault(name: str, text: str, error: Exception) -> str:
    if isinstance(error, RecursionError):
        return f"{name}:1: not YAML: brackets or keys are nested too deep"
    problem = getattr(error, "problem", None) or " ".join(str(error).split())
    return f"{name}:{_line_to_mend(text, error)}: not YAML: {problem}"


_UNFINISHED = ("while scanning a simple key", "while scanning a quoted scalar", "while parsing a flow")


def _line_to_mend(text: str, error: Exception) -> int:
    """The line with the mistake. The parser stumbles only behind it where something has no end or no colon."""
    mark, began = getattr(error, "problem_mark", None), getattr(error, "context_mark", None)
    if mark is None:
        return 1
    if began is not None and str(getattr(error, "context", "")).startswith(_UNFINISHED):
        return int(began.line) + 1
    lines = text.split("\n")
    if getattr(error, "problem", "") == "mapping values are not allowed here" and ":" not in _before(lines, mark):
        said = [number for number in range(mark.line) if lines[number].split("#")[0].strip()]
        if said and ":" not in lines[said[-1]]:
            return said[-1] + 1
    return int(mark.line) + 1


def _before(lines: list[str], mark: yaml.Mark) -> str:
    return lines[mark.line][: mark.column]


def _mend(fault: ErrorDetails, model: type[BaseModel]) -> str:
    location, message = place_of(fault), tell_plainly(fault)
    if location[-1:] == ("[key]",):
        if fault["type"] == "value_error":
            # Its own message names the key.
            return message
        location = location[:-1]
    place = ".".join(str(part) for part in location)
    if fault["type"] == "extra_forbidden":
        known = _keys_at(model, location[:-1])
        hint = did_you_mean(str(location[-1]), known)
        message = f"unknown key; {hint + ' ' if hint else ''}known are {', '.join(known)}"
    elif fault["type"] == "missing":
        meaning = _meaning_of(model, location)
        message += f": {meaning}" if meaning else ""
    elif fault["type"] in ("model_type", "model_attributes_type"):
        message = f"write keys with their values; its keys are {', '.join(_keys_at(model, location))}"
    return f"{place}: {message}" if place else message


def _meaning_of(model: type[BaseModel], location: Location) -> str:
    """What the model says that a key means, on one line."""
    *outer, name = location
    annotation: Any = model
    for part in outer:
        annotation = _inside(annotation, part)
    owner = _bare(annotation)
    if not isinstance(owner, type) or not issubclass(owner, BaseModel):
        return ""
    found = next((field for key, field in owner.model_fields.items() if name in (key, field.alias)), None)
    return " ".join((found.description or "").split()) if found is not None else ""


def _keys_at(annotation: Any, location: Location) -> list[str]:
    """The keys that the model at a location of another has."""
    for part in location:
        annotation = _inside(annotation, part)
    model = _bare(annotation)
    if not isinstance(model, type) or not issubclass(model, BaseModel):
        return []
    return [field.alias or name for name, field in model.model_fields.items()]


def _inside(annotation: Any, part: int | str) -> Any:
    """The annotation of one part of a value: a field, an entry, an element."""
    bare = _bare(annotation)
    if isinstance(bare, type) and issubclass(bare, BaseModel):
        fields = bare.model_fields.items()
        return next((field.annotation for name, field in fields if part in (name, field.alias)), None)
    origin, arguments = get_origin(bare), get_args(bare)
    if not isinstance(origin, type) or not arguments:
        return None
    if issubclass(origin, Mapping):
        return arguments[1]
    if issubclass(origin, tuple) and arguments[-1] is not ... and isinstance(part, int):
        return arguments[part]
    return arguments[0] if issubclass(origin, Sequence) else None


def _bare(annotation: Any) -> Any:
    """Without `Annotated`, `None` beside it and a root model around it."""
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return _bare(arguments[0])
    if origin in (Union, types.UnionType):
        return _bare(next(member for member in arguments if member is not type(None)))
    if isinstance(annotation, type) and issubclass(annotation, RootModel):
        return _bare(annotation.model_fields["root"].annotation)
    return annotation


def _line_of(node: yaml.Node, location: Location) -> int:
    """The line of the innermost key or element of a location that stands in the file."""
    line = node.start_mark.line + 1
    for part in location:
        if isinstance(node, yaml.SequenceNode) and isinstance(part, int) and part < len(node.value):
            node = node.value[part]
            line = node.start_mark.line + 1
            continue
        pairs = node.value if isinstance(node, yaml.MappingNode) else []
        match = next(((key, value) for key, value in pairs if key.value == str(part)), None)
        if match is None:
            break
        line, node = match[0].start_mark.line + 1, match[1]
    return line

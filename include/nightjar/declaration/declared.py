"""Self-checking declarations: a field's annotation states its allowed values. Standard library only."""

from __future__ import annotations

import sys
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, fields
from datetime import date
from functools import cache
from math import inf, isfinite
from types import UnionType
from typing import Annotated, Any, Literal, NoReturn, Protocol, Union, get_args, get_origin, get_type_hints

from nightjar.protocol.errors import ConfigurationError
from nightjar.protocol.names import IDENTIFIER_FORM, is_identifier

_OWN_PACKAGES = ("nightjar.declaration", "nightjar.protocol", "nightjar.settings")


class Declaration:
    """Base class of the dataclasses in a use case; each instance checks itself when it is created."""

    def __post_init__(self) -> None:
        """Check each field against its annotation, then the fields together."""
        declared: Any = type(self)
        for name, hint in hints_of(declared).items():
            check_value(getattr(self, name), hint, where=f"{declared.__name__}.{name}")
        self.check()

    def check(self) -> None:
        """Raise :class:`ConfigurationError` for inconsistent fields. Each field alone has been checked before."""


class Constraint(Protocol):
    """A condition on a value beside its type; ``str()`` of it follows the type's name in error messages."""

    def allows(self, value: Any) -> bool:
        """Return whether the value, whose type is correct, is allowed."""
        ...


@dataclass(frozen=True)
class Bounds:
    """Lowest and highest value; an open end excludes the bound itself."""

    low: float = -inf
    high: float = inf
    low_open: bool = False
    high_open: bool = False

    def allows(self, value: Any) -> bool:
        """Return whether ``value`` lies within the bounds."""
        above = value > self.low if self.low_open else value >= self.low
        below = value < self.high if self.high_open else value <= self.high
        return bool(above and below)

    def __str__(self) -> str:
        low = f"{'above' if self.low_open else 'at least'} {self.low:g}" if self.low > -inf else ""
        high = f"{'below' if self.high_open else 'at most'} {self.high:g}" if self.high < inf else ""
        return " and ".join(filter(None, (low, high)))


class _NotBlank:
    def allows(self, value: Any) -> bool:
        return bool(value.strip()) and value.isprintable()

    def __str__(self) -> str:
        return "that is one line and not blank"


class _Identifier:
    def allows(self, value: Any) -> bool:
        return is_identifier(value)

    def __str__(self) -> str:
        return f"of {IDENTIFIER_FORM}"


class _Version:
    def allows(self, value: Any) -> bool:
        return value.isascii() and value.isdigit() and not value.startswith("0")

    def __str__(self) -> str:
        return "of digits, e.g. '7': the number of a version in the registry"


Text = Annotated[str, _NotBlank()]
Name = Annotated[str, _Identifier()]
Version = Annotated[str, _Version()]
Count = Annotated[int, Bounds(low=1)]
CountOrZero = Annotated[int, Bounds(low=0)]
Positive = Annotated[float, Bounds(low=0, low_open=True)]
NotNegative = Annotated[float, Bounds(low=0)]
Share = Annotated[float, Bounds(0, 1)]
PositiveShare = Annotated[float, Bounds(0, 1, low_open=True)]
Probability = Annotated[float, Bounds(0, 1, low_open=True, high_open=True)]

_NAMES: Mapping[Any, str] = {
    int: "a whole number",
    float: "a finite number",
    str: "a text",
    bool: "True or False",
    date: "a date",
    type(None): "None",
}


@cache
def hints_of(cls: Any) -> Mapping[str, Any]:
    """Return the resolved annotation of each of a dataclass's fields."""
    hints = get_type_hints(cls, include_extras=True)
    return {field.name: hints[field.name] for field in fields(cls)}


def check_value(value: Any, hint: Any, *, where: str) -> None:
    """Check that the annotation ``hint`` allows ``value``; the error names the innermost wrong part.

    Args:
        value: Any object.
        hint: A resolved annotation: a class, ``Literal``, ``tuple[X, ...]``, ``Mapping[K, V]``, a union, ``Any``, or
            ``Annotated`` with :class:`Constraint`.
        where: Class and field.

    Raises:
        ConfigurationError: with the value, the field, where it is declared, and the allowed values.
    """
    if _allows(hint, value):
        return
    origin, args = get_origin(hint), get_args(hint)
    if origin is tuple and type(value) is tuple:
        for position, item in enumerate(value):
            check_value(item, args[0], where=f"{where}[{position}]")
    if origin is Mapping and isinstance(value, Mapping):
        for key, item in value.items():
            check_value(key, args[0], where=f"a name in {where}")
            check_value(item, args[1], where=f"{where}[{key!r}]")
    refuse(f"{_last(where)} is {value!r}", where=where, fix=f"give {describe(hint)}{_nearest(value, _choices(hint))}")


def check_choice(value: str, allowed: Iterable[str], *, kind: str, where: str) -> None:
    """Check that ``value`` is one of ``allowed``; the error lists them and suggests the closest.

    Args:
        value: A name.
        allowed: All allowed names.
        kind: What the names stand for, e.g. ``source``.
        where: Class and field.

    Raises:
        ConfigurationError: when ``value`` is not among them.
    """
    names = tuple(allowed)
    if value not in names:
        listed = ", ".join(sorted(names)) or "nothing can be named here"
        refuse(f"unknown {kind} {value!r}", where=where, fix=f"choose from: {listed}{_nearest(value, names)}")


def check_unique(names: Iterable[str], *, kind: str, where: str) -> None:
    """Check that no name occurs twice.

    Raises:
        ConfigurationError: listing the repeated names.
    """
    listed = list(names)
    if repeated := sorted({name for name in listed if listed.count(name) > 1}):
        refuse(
            f"{kind} {', '.join(repeated)} is declared more than once",
            where=where,
            how_many=len(repeated),
            fix=f"name each {kind} once; declared are: {', '.join(listed)}",
        )


def check_known(names: Iterable[str], known: Collection[str], *, kind: str, where: str) -> None:
    """Check that each name is known and occurs once.

    Raises:
        ConfigurationError: listing the known names.
    """
    listed = tuple(names)
    for name in listed:
        check_choice(name, known, kind=kind, where=where)
    check_unique(listed, kind=kind, where=where)


def refuse(what: str, *, where: str, fix: str, how_many: int = 1) -> NoReturn:
    """Raise the error for an invalid declaration, with the file and line that declares it.

    Raises:
        ConfigurationError: always.
    """
    raise ConfigurationError(what, where=f"{where}, declared in {_declared_at()}", how_many=how_many, fix=fix)


def _allows(hint: Any, value: Any) -> bool:
    """Return whether the annotation allows the value."""
    origin, args = get_origin(hint), get_args(hint)
    if origin is Annotated:
        return _allows(args[0], value) and all(constraint.allows(value) for constraint in args[1:])
    if origin in (Union, UnionType):
        return any(_allows(arg, value) for arg in args)
    if origin is Literal:
        return any(type(value) is type(arg) and value == arg for arg in args)
    if origin is tuple:
        return type(value) is tuple and all(_allows(args[0], item) for item in value)
    if origin is Mapping:
        return isinstance(value, Mapping) and all(_allows(args[0], k) and _allows(args[1], v) for k, v in value.items())
    return _has_type(value, hint)


def _has_type(value: Any, cls: Any) -> bool:
    """Return whether the value has the type. A bool is not a number, a datetime not a date, and NaN not a float."""
    if cls is Any:
        return True
    if cls is float:
        return type(value) is not bool and isinstance(value, int | float) and isfinite(value)
    return type(value) is cls if cls in _NAMES else isinstance(value, cls)


def describe(hint: Any) -> str:
    """Describe the values that the annotation allows, for people."""
    origin, args = get_origin(hint), get_args(hint)
    if origin is Annotated:
        return " ".join([describe(args[0]), *map(str, args[1:])])
    if origin in (Union, UnionType):
        return " or ".join(describe(arg) for arg in args)
    if origin is Literal:
        return f"one of {', '.join(map(repr, args))}"
    if origin is tuple:
        return f"a tuple, (a, b) or (a,), of: {describe(args[0])}"
    if origin is Mapping:
        return f"a mapping, {{name: value}}, of {describe(args[0])} to {describe(args[1])}"
    return _NAMES.get(hint, getattr(hint, "__name__", "any value"))


def _choices(hint: Any) -> tuple[Any, ...]:
    """Return the values of a ``Literal``, also inside a union."""
    if get_origin(hint) is Literal:
        return get_args(hint)
    return tuple(choice for arg in get_args(hint) for choice in _choices(arg)) if get_args(hint) else ()


def _nearest(value: Any, names: Collection[Any]) -> str:
    """Return a suggestion of the closest name, or an empty string."""
    from difflib import get_close_matches  # imported only on an error

    near = get_close_matches(str(value), [str(name) for name in names], n=1)
    return f"; did you mean {near[0]!r}?" if near else ""


def _last(where: str) -> str:
    return where.rsplit(".", 1)[-1]


def _declared_at() -> str:
    """Return file and line of the innermost frame outside this package, where the declaration is written."""
    frame = sys._getframe(1)
    while frame.f_back and _is_machinery(frame.f_globals.get("__name__", ""), frame.f_code.co_filename):
        frame = frame.f_back
    return f"{'/'.join(frame.f_code.co_filename.split('/')[-3:])}:{frame.f_lineno}"


def _is_machinery(module: str, file: str) -> bool:
    return module.startswith(_OWN_PACKAGES) or module == "dataclasses" or file.startswith("<string>")

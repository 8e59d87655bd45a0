"""Search ranges of an engine's parameters. Standard library only."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, Protocol

from nightjar.declaration.declared import Declaration, check_choice, check_unique, check_value, refuse


@dataclass(frozen=True)
class IntRange(Declaration):
    """Range of whole numbers.

    Attributes:
        low: Smallest value.
        high: Largest value.
        log: Whether to search on a log scale.
    """

    low: int
    high: int
    log: bool = False

    def check(self) -> None:
        """Check that the range is not empty."""
        _check_range(self)


@dataclass(frozen=True)
class FloatRange(Declaration):
    """Range of numbers.

    Attributes:
        low: Smallest value.
        high: Largest value.
        log: Whether to search on a log scale.
    """

    low: float
    high: float
    log: bool = False

    def check(self) -> None:
        """Check that the range is not empty."""
        _check_range(self)


@dataclass(frozen=True)
class Choice(Declaration):
    """A few values to choose from.

    Attributes:
        values: The values.
    """

    values: tuple[str | int | float | bool, ...]

    def check(self) -> None:
        """Check that there are values, each once."""
        if not self.values:
            refuse("values is empty", where="Choice.values", fix="give at least one value: Choice((a, b))")
        check_unique(map(repr, self.values), kind="value", where="Choice.values")


Space = Mapping[str, IntRange | FloatRange | Choice]
"""Parameter name to its search range."""


def _check_range(span: IntRange | FloatRange) -> None:
    where = f"{type(span).__name__}.low"
    if span.low > span.high:
        refuse(f"low {span.low:g} is above high {span.high:g}", where=where, fix="give low at most as high as high")
    if span.log and span.low <= 0:
        refuse(f"low {span.low:g} cannot be on a log scale", where=where, fix="give low above 0, or leave log out")


def span_from_dict(range: str, **bounds: Any) -> IntRange | FloatRange | Choice:
    """Return the range of the class named ``range``; ``bounds`` are its fields as in JSON."""
    if range == Choice.__name__:
        return Choice(tuple(bounds["values"]))
    return IntRange(**bounds) if range == IntRange.__name__ else FloatRange(**bounds)


class Searchable(Protocol):
    """An engine with parameters to search."""

    @property
    def space(self) -> Space:
        """Search ranges."""

    def declared(self) -> Mapping[str, Any]:
        """Return the declared value of each parameter that can be searched."""


def numbers_of(engine: Any) -> dict[str, int | float]:
    """Return the fields of an engine that are numbers, which can be searched."""
    values = {field.name: getattr(engine, field.name) for field in fields(engine)}
    return {name: value for name, value in values.items() if isinstance(value, int | float)}


def check_space(engine: Searchable, hints: Mapping[str, Any]) -> None:
    """Check that a search space holds known parameters, allowed values, and the declared value.

    Args:
        engine: Engine of the space.
        hints: Parameter name to the annotation of its values.
    """
    declared = engine.declared()
    for name, span in engine.space.items():
        where = f"{type(engine).__name__}.space[{name!r}]"
        check_choice(name, hints, kind="parameter", where=f"{type(engine).__name__}.space")
        values = span.values if isinstance(span, Choice) else (span.low, span.high)
        for value in values:
            check_value(value, hints[name], where=where)
        first = declared.get(name)
        within = first in values if isinstance(span, Choice) else first is not None and span.low <= first <= span.high
        if not within:
            refuse(
                f"{name} is searched in {span}, and declared as {'nothing' if first is None else repr(first)}",
                where=where,
                fix="declare a value within the range: it is the first that is tried",
            )

"""JSON in files, tables, servers' answers and events: dataclasses to JSON and back, read strictly.

Any JSON that the running process did not write itself is read here. A malformed document raises one error that names
its source.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Literal, TypeVar

from nightjar.protocol.errors import ConfigurationError, NightjarError, first_line

if TYPE_CHECKING:
    from pydantic import TypeAdapter
    from pydantic_core import ErrorDetails

T = TypeVar("T")
_ADAPTERS: dict[type, TypeAdapter[Any]] = {}
_WITHOUT_VALUE = frozenset({"missing", "unexpected_keyword_argument"})
"""Problems of a name, and not of a value."""

PARSER_ERRORS = (ValueError, TypeError, LookupError, AttributeError, ArithmeticError, RecursionError)
"""Exceptions of parsers and constructors for text that is truncated, nested too deep, too large or malformed."""


@contextmanager
def reading(
    what: str, *, where: str, fix: str, error: Callable[..., NightjarError] = ConfigurationError
) -> Iterator[None]:
    """Turn any exception for malformed text into one error that names its source.

    Storage errors pass through: a missing file stays ``FileNotFoundError``.

    Args:
        what: What is read, e.g. ``the training set``; for the message.
        where: Its file, table or address.
        fix: What the user should do.
        error: The error's class.
    """
    try:
        yield
    except ConfigurationError as refused:
        raise error(f"{what} cannot be read ({refused.what})", where=f"{where}, {refused.where}", fix=fix) from refused
    except PARSER_ERRORS as raised:
        raise error(f"{what} cannot be read ({first_line(raised)})", where=where, fix=fix) from raised


def parse_json(text: str | bytes, *, object_of: Callable[[list[tuple[str, Any]]], Any] | None = None) -> Any:
    """Return the value of a JSON document in UTF-8; its numbers must be finite and its text valid Unicode.

    Args:
        text: The document.
        object_of: Builds an object from its (name, value) pairs; None keeps the last value of a repeated name.

    Raises:
        ValueError, RecursionError: for an invalid document; call it within :func:`reading`.
    """
    document = json.loads(  # noqa: TID251 - this is the boundary
        text if isinstance(text, str) else text.decode(), object_pairs_hook=object_of
    )
    # NaN, Infinity, 1e999 and half a surrogate pair can be read but not written back as JSON in UTF-8
    json.dumps(document, ensure_ascii=False, allow_nan=False).encode()
    return document


def parse_object(text: str | bytes) -> dict[str, Any]:
    """Parse a JSON document that must be an object, and return it.

    Raises:
        ValueError, RecursionError: for any other document; call it within :func:`reading`.
    """
    document = parse_json(text)
    if not isinstance(document, dict):
        raise ValueError(f"a JSON object is expected, not {type(document).__name__}")
    return document


def dump_values(instance: Any) -> Any:
    """Return a dataclass as JSON values: objects, arrays, text and numbers. Dates become ISO 8601.

    Raises:
        ValueError: when a field holds something else than its annotation says, or no JSON value.
    """
    return _adapter(type(instance)).dump_python(instance, mode="json", warnings="error")


def dump_json(instance: Any) -> str:
    """Return a dataclass as canonical JSON: equal objects give the same text.

    Raises:
        ValueError: as :func:`dump_values`, and when a number is NaN or infinite.
    """
    return json.dumps(dump_values(instance), sort_keys=True, indent=1, allow_nan=False)


def load_json(cls: type[T], text: str | bytes, *, extra: Literal["forbid", "ignore"] = "forbid") -> T:
    """Return the dataclass ``cls`` from a JSON document. Types are checked, and never converted.

    Args:
        cls: The dataclass; its fields' annotations say what the document must hold.
        text: The document.
        extra: Whether names that ``cls`` does not have are an error, or are ignored.

    Raises:
        ValueError, RecursionError: for any other document, naming the field; call it within :func:`reading`.
    """
    parse_object(text)  # finite numbers and valid Unicode, which pydantic does not ask for
    return _validated(cls, text, extra)


def load_values(cls: type[T], values: Any, *, extra: Literal["forbid", "ignore"] = "forbid") -> T:
    """Return the dataclass ``cls`` from JSON values, like :func:`load_json`."""
    return _validated(cls, json.dumps(values), extra)


def _validated(cls: type[T], text: str | bytes, extra: Literal["forbid", "ignore"]) -> T:
    from pydantic import ValidationError

    try:
        instance: T = _adapter(cls).validate_json(text, strict=True, extra=extra)
        return instance
    except ValidationError as error:
        raise ValueError(_describe(cls, error.errors(include_url=False))) from error


def _describe(cls: type, problems: list[ErrorDetails]) -> str:
    """Return the first problem, with its field."""
    first = problems[0]
    field = ".".join([cls.__name__, *(str(part) for part in first["loc"])])
    value = "" if first["type"] in _WITHOUT_VALUE else f", not {first['input']!r:.100}"
    more = f", and {len(problems) - 1} more" if len(problems) > 1 else ""
    return f"{field}: {first['msg']}{value}{more}"


def _adapter(cls: type) -> TypeAdapter[Any]:
    from pydantic import TypeAdapter  # imported here: it takes 0.1 s, and workers of Spark do not need it

    if cls not in _ADAPTERS:
        _ADAPTERS[cls] = TypeAdapter(cls)
    return _ADAPTERS[cls]

"""JSON that a file, a table, a server or a person gave: read strictly, with one error that names where it came from."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from nightjar.declaration.declared import check_value, hints_of
from nightjar.protocol.errors import ConfigurationError, NightjarError, first_line

PARSER_ERRORS = (ValueError, TypeError, LookupError, AttributeError, ArithmeticError, RecursionError)
"""What parsers and constructors raise for text that is cut, nested too deep, too large, or of another shape."""


@contextmanager
def reading(
    what: str, *, where: str, fix: str, error: Callable[..., NightjarError] = ConfigurationError
) -> Iterator[None]:
    """Turn whatever is raised for text of another form into one error that names its source.

    Errors of storage pass: a missing file stays ``FileNotFoundError``.

    Args:
        what: What is read, e.g. ``the training set``.
        where: Its file, table or address.
        fix: What the reader does next.
        error: The error's class.
    """
    try:
        yield
    except ConfigurationError as refused:
        raise error(f"{what} cannot be read ({refused.what})", where=f"{where}, {refused.where}", fix=fix) from refused
    except PARSER_ERRORS as raised:
        raise error(f"{what} cannot be read ({first_line(raised)})", where=where, fix=fix) from raised


def parse_json(text: str | bytes, *, object_of: Callable[[list[tuple[str, Any]]], Any] | None = None) -> Any:
    """Return the value of a JSON document in UTF-8, with finite numbers and Unicode texts.

    Args:
        text: The document.
        object_of: Makes an object of its names and values; None takes the last value of a name.

    Raises:
        ValueError, RecursionError: when it is no such document; call it within :func:`reading`.
    """
    document = json.loads(  # noqa: TID251 - this is the boundary
        text if isinstance(text, str) else text.decode(), object_pairs_hook=object_of
    )
    # NaN, Infinity, 1e999 and half a surrogate pair are read, and could not be written as JSON in UTF-8 again.
    json.dumps(document, ensure_ascii=False, allow_nan=False).encode()
    return document


def parse_object(text: str | bytes) -> dict[str, Any]:
    """Return :func:`parse_json` of a document that is an object.

    Raises:
        ValueError, RecursionError: when it is anything else; call it within :func:`reading`.
    """
    document = parse_json(text)
    if not isinstance(document, dict):
        raise ValueError(f"a JSON object is expected, not {type(document).__name__}")
    return document


def check_fields(instance: Any) -> None:
    """Refuse a dataclass that was made of a document and has a value which its annotations do not allow.

    Raises:
        ConfigurationError: naming the field; call it within :func:`reading`.
    """
    cls: Any = type(instance)
    for name, hint in hints_of(cls).items():
        check_value(getattr(instance, name), hint, where=f"{cls.__name__}.{name}")

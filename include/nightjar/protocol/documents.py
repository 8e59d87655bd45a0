"""Strict reading of JSON from files, tables, servers and users, with one error that names the source."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from nightjar.declaration.declared import check_value, hints_of
from nightjar.protocol.errors import ConfigurationError, NightjarError, first_line

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
    """Return :func:`parse_json` of a document that must be an object.

    Raises:
        ValueError, RecursionError: for any other document; call it within :func:`reading`.
    """
    document = parse_json(text)
    if not isinstance(document, dict):
        raise ValueError(f"a JSON object is expected, not {type(document).__name__}")
    return document


def check_fields(instance: Any) -> None:
    """Check the fields of a dataclass made from a document against their annotations.

    Raises:
        ConfigurationError: naming the field; call it within :func:`reading`.
    """
    cls: Any = type(instance)
    for name, hint in hints_of(cls).items():
        check_value(getattr(instance, name), hint, where=f"{cls.__name__}.{name}")

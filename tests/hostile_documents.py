"""Hostile documents, and the allowed reactions of a reader."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from nightjar.protocol.errors import NightjarError

NOT_JSON = {
    "empty": b"",
    "a half": b'{"a": [1, 2',
    "lists in lists": b"[" * 100_000,
    "objects in objects": b'{"a":' * 100_000,
    "not UTF-8": b'{"a": "\xff"}',
    "UTF-16": '{"a": 1}'.encode("utf-16"),
}
NOT_AN_OBJECT = {"null": b"null", "a list": b"[]", "a number": b"7", "a text": b'"x"', "a lone surrogate": b'"\\ud800"'}
NOT_A_VALUE = {
    "infinity": b"1e999",
    "NaN": b"NaN",
    "10,000 digits": b"1" * 10_000,
    "a lone surrogate": b'"\\ud800"',
}
OF_ANOTHER_TYPE = (None, [], {}, "x", -1, 10**30, 1e300, True, [None], {"a": None}, [[[]]])


def hostile(valid: dict[str, Any]) -> Iterator[tuple[str, bytes]]:
    """Invalid documents, and ``valid`` with each of its fields replaced or left out."""
    yield from NOT_JSON.items()
    yield from NOT_AN_OBJECT.items()
    yield "another object", b'{"a": 1}'
    for name in valid:
        rest = {other: value for other, value in valid.items() if other != name}
        yield f"no {name}", json.dumps(rest).encode()
        for value in OF_ANOTHER_TYPE:
            yield f"{name} {value!r:.30}", json.dumps({**valid, name: value}).encode()
        for what, text in NOT_A_VALUE.items():
            yield f"{name} is {what}", json.dumps({**valid, name: "HERE"}).encode().replace(b'"HERE"', text)


def check(file: Path, valid: dict[str, Any], read: Callable[[], object], fallback: object = NightjarError) -> None:
    """Let ``read`` meet every hostile document in ``file``.

    It raises a :class:`NightjarError` that names the file, or returns ``fallback``, for any invalid document; a
    valid one with another value it may also read, if the value is of the right type.
    """
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(valid))
    assert read() != fallback, "the valid document itself must be read"
    for name, content in hostile(valid):
        file.write_bytes(content)
        outcome = _outcome(read)
        if isinstance(outcome, NightjarError):
            assert fallback is NightjarError, f"{name}: {outcome}"
            assert file.name in outcome.where, f"{name}: {outcome}"
        else:
            assert not isinstance(outcome, Exception), f"{name}: {type(outcome).__name__}: {outcome}"
            refused_always = name in NOT_JSON or name in NOT_AN_OBJECT or " is " in name
            assert outcome == fallback or not refused_always, f"{name} was read: {outcome!r:.200}"


def _outcome(read: Callable[[], object]) -> object:
    try:
        return read()
    except Exception as error:
        return error

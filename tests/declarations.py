"""Variants of a declared use case, for tests."""

from __future__ import annotations

from dataclasses import is_dataclass, replace
from typing import Any, TypeVar

Declared = TypeVar("Declared")


def with_fields(declared: Declared, **values: Any) -> Declared:
    """Return a copy with other values; a dict for a group replaces fields of that group only.

    ``with_fields(USE_CASE, schedule={"timezone": "UTC"})`` keeps the other fields of ``USE_CASE.schedule``.
    """
    changed = dict(values)
    for name, value in values.items():
        group = getattr(declared, name, None)
        if isinstance(value, dict) and is_dataclass(group):
            changed[name] = with_fields(group, **value)
    return replace(declared, **changed)  # type: ignore[type-var]

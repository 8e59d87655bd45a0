"""``make declaration-reference``: write the fields of docs/declaration.md from the classes of the declaration."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator, Mapping
from dataclasses import MISSING, Field, fields
from pathlib import Path
from typing import Any, get_args

from nightjar.declaration import rules
from nightjar.declaration.declared import Declaration, Name, Text, describe, hints_of
from nightjar.declaration.use_case import UseCase

PAGE = Path("docs/declaration.md")
_SHORTER = {
    describe(Name): "an identifier",
    describe(Text): "a line of text",
    "a tuple, (a, b) or (a,), of:": "a tuple of",
    "a mapping, {name: value}, of a text to": "a mapping of names to",
    "a mapping, {name: value}, of an identifier to": "a mapping of identifiers to",
    "names to Any": "names to values",
}
"""Descriptions that an error message gives in full, and the words for them in the page's tables."""
BEGIN, END = "<!-- made by make declaration-reference -->\n", "<!-- end -->\n"


def write(root: Path) -> Path:
    """Write the page below the checkout's root, and return its path; hand-written text around the fields is kept."""
    page = root / PAGE
    page.write_text(text(page.read_text()))
    return page


def text(page: str) -> str:
    """Return the page with the current fields in place of the earlier ones."""
    before, rest = page.split(BEGIN)
    after = rest.split(END)[1]
    sections = [*map(_class_section, declared_classes()), _rule_functions()]
    return before + BEGIN + "\n" + "\n".join(sections) + "\n" + END + after


def declared_classes() -> list[type[Declaration]]:
    """Return ``UseCase`` and all classes of its fields, each before the classes of its own fields."""
    classes: dict[type[Declaration], None] = {}

    def add(cls: type[Declaration]) -> None:
        if cls not in classes:
            classes[cls] = None
            for hint in _hints(cls).values():
                for inner in _classes_in(hint):
                    add(inner)

    add(UseCase)
    return list(classes)


def documented_fields(cls: type[Declaration]) -> Mapping[str, str]:
    """Return the meaning of each field, from the section ``Attributes`` of the class's docstring."""
    _, _, section = (inspect.getdoc(cls) or "").partition("Attributes:\n")
    entries = re.split(r"\n(?=    \w)", section.rstrip())
    pairs = (entry.strip().split(": ", 1) for entry in entries if ": " in entry)
    return {name: re.sub(r"\s+", " ", meaning) for name, meaning in pairs}


def _hints(cls: Any) -> Mapping[str, Any]:
    return hints_of(cls)


def _fields(cls: Any) -> tuple[Field[Any], ...]:
    return fields(cls)


def _classes_in(hint: Any) -> Iterator[type[Declaration]]:
    if isinstance(hint, type) and issubclass(hint, Declaration):
        yield hint
    for inner in get_args(hint):
        yield from _classes_in(inner)


def _class_section(cls: type[Declaration]) -> str:
    meaning, _, _ = (inspect.getdoc(cls) or "").partition("Attributes:\n")
    documented, hints = documented_fields(cls), _hints(cls)
    lines = [
        f"### {cls.__name__}",
        "",
        _markdown(meaning.strip()),
        "",
        f"In `{cls.__module__}`.",
        "",
        "| Field | Type | Default | Meaning |",
        "|---|---|---|---|",
        *(
            f"| `{field.name}` | {_type(hints[field.name])} | {_default(field)} | {_cell(documented[field.name])} |"
            for field in _fields(cls)
        ),
        "",
    ]
    return "\n".join(lines)


def _rule_functions() -> str:
    """Return the section of the functions that make rules, each with the rule that it returns."""
    functions = [
        function
        for name, function in vars(rules).items()
        if inspect.isfunction(function) and function.__annotations__.get("return") in {"Rule", "NightRule"}
    ]
    lines = [
        "### Functions that make rules",
        "",
        "In `nightjar.declaration.rules`.",
        "",
        "| Function | Rule |",
        "|---|---|",
        *(f"| `{_call(function)}` | {_cell(_returned_rule(function))} |" for function in functions),
        "",
    ]
    return "\n".join(lines)


def _returned_rule(function: Any) -> str:
    """Return the first line of the docstring, from "that" on."""
    first_line = (inspect.getdoc(function) or "").split("\n")[0]
    return first_line.removeprefix("Return the rule that ")


def _call(function: Any) -> str:
    parameters = [
        parameter.replace(annotation=inspect.Parameter.empty)
        for parameter in inspect.signature(function).parameters.values()
    ]
    return f"{function.__name__}{inspect.Signature(parameters)}"


def _type(hint: Any) -> str:
    """Return the description of the values that the field takes; a class links to its section."""
    description = describe(hint)
    for long, short in _SHORTER.items():
        description = description.replace(long, short)
    for cls in dict.fromkeys(_classes_in(hint)):
        description = re.sub(rf"\b{cls.__name__}\b", f"[`{cls.__name__}`](#{cls.__name__.lower()})", description)
    return description.replace("|", "\\|")


def _default(field: Field[Any]) -> str:
    if field.default is not MISSING:
        return f"`{_code(field.default)}`"
    if field.default_factory is not MISSING:
        return f"`{_code(field.default_factory())}`"
    return "needed"


def _code(value: object) -> str:
    """Return the value as an author writes it: a declaration has only the fields that differ from their defaults."""
    if isinstance(value, tuple):
        return f"({', '.join(map(_code, value))}{',' if len(value) == 1 else ''})"
    if not isinstance(value, Declaration):
        return repr(value)
    given = [
        f"{field.name}={_code(getattr(value, field.name))}"
        for field in _fields(value)
        if getattr(value, field.name) != _default_value(field)
    ]
    return f"{type(value).__name__}({', '.join(given)})"


def _default_value(field: Field[Any]) -> object:
    return field.default if field.default_factory is MISSING else field.default_factory()


def _cell(meaning: str) -> str:
    return _markdown(meaning).replace("|", "\\|")


def _markdown(docstring: str) -> str:
    """Return the text of a docstring in Markdown: code and roles of reStructuredText become code."""
    without_roles = re.sub(r":\w+:`~?([^`]+)`", r"`\1`", docstring)
    return without_roles.replace("``", "`")

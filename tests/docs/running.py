"""Run the Python examples of the pages."""

from __future__ import annotations

from datetime import date
from importlib import import_module
from pkgutil import iter_modules
from typing import Any

from tests.docs.pages import Example

from nightjar import declaration


def names_of_declaration() -> dict[str, Any]:
    """Return the public names of all modules of the declaration, and ``date``."""
    names: dict[str, Any] = {"date": date}
    for module in iter_modules(declaration.__path__, f"{declaration.__name__}."):
        names |= {name: value for name, value in vars(import_module(module.name)).items() if name[0] != "_"}
    return names


def run(example: Example, names: dict[str, Any]) -> None:
    """Run the block; an error names the page and the line."""
    exec(compile("\n" * (example.line - 1) + example.code, example.page, "exec"), names)


def fields_of(example: Example) -> dict[str, Any]:
    """Return the names that the block assigns, with their values."""
    known = names_of_declaration()
    names = dict(known)
    run(example, names)
    return {name: value for name, value in names.items() if name not in known and name != "__builtins__"}

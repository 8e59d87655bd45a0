"""Directive ``package-reference``: the public functions and classes of every module of a package."""

from __future__ import annotations

import ast
from importlib.util import find_spec
from pathlib import Path
from typing import ClassVar

from docutils import nodes
from docutils.parsers.rst import directives
from docutils.statemachine import StringList
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective
from sphinx.util.parsing import nested_parse_to_nodes


def modules_of(package: str) -> list[str]:
    """Return the package and all modules below it, sorted; modules whose name starts with ``_`` are left out."""
    spec = find_spec(package)
    if spec is None or spec.submodule_search_locations is None:
        raise ModuleNotFoundError(f"unknown package {package}")
    names = {package}
    for folder in map(Path, spec.submodule_search_locations):
        for file in folder.rglob("*.py"):
            parts = file.relative_to(folder).with_suffix("").parts
            parts = parts[:-1] if parts[-1] == "__init__" else parts
            if not any(part.startswith("_") for part in parts):
                names.add(".".join((package, *parts)))
    return sorted(names)


def defines(module: str, function: str) -> bool:
    """Return whether the module's source has a top-level function of that name; the module is not imported."""
    spec = find_spec(module)
    if spec is None or spec.origin is None:
        return False
    tree = ast.parse(Path(spec.origin).read_text())
    return any(isinstance(node, ast.FunctionDef) and node.name == function for node in tree.body)


class PackageReference(SphinxDirective):
    """``.. package-reference:: nightjar.lake``: one section per module.

    Options:
        first: Modules that come first, in this order.
        programs: Show only modules with a function ``run``. The others are not imported: one of them starts Spark.
    """

    required_arguments = 1
    has_content = False
    option_spec: ClassVar = {"first": directives.unchanged, "programs": directives.flag}

    def run(self) -> list[nodes.Node]:
        """Return the sections."""
        package = self.arguments[0]
        first = [f"{package}.{name}" for name in self.options.get("first", "").split()]
        found = [name for name in modules_of(package) if name != package]
        if "programs" in self.options:
            found = [name for name in found if defines(name, "run")]
        if unknown := sorted({*first} - {*found}):
            raise self.error(f"unknown module {', '.join(unknown)}")
        lines: list[str] = []
        for name in [*first, *(name for name in found if name not in first)]:
            title = f"``{name}``"
            lines += [title, "-" * len(title), "", f".. automodule:: {name}", ""]
        return nested_parse_to_nodes(
            self.state, StringList(lines, self.get_source_info()[0]), allow_section_headings=True
        )


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the directive."""
    app.add_directive("package-reference", PackageReference)
    return {"parallel_read_safe": True, "parallel_write_safe": True}

"""No file imports a file that leads back to it, not even for annotations (``if TYPE_CHECKING``)."""

from __future__ import annotations

import ast
from collections.abc import Mapping, Sequence
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest
from tests.conftest import REPOSITORY

ROOTS = tuple(REPOSITORY / name for name in ("include", "plugins", "spark", "jobs"))


def modules_below(roots: Sequence[Path]) -> dict[str, Path]:
    """Return the dotted name and the file of each module."""
    names = {}
    for root in roots:
        for file in root.rglob("*.py"):
            parts = file.relative_to(root).with_suffix("").parts
            names[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = file
    return names


def imports_of(file: Path) -> set[str]:
    """Return the dotted names that the file imports, at any depth of its code."""
    names = set()
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file} has a relative import"
            names |= {str(node.module), *(f"{node.module}.{alias.name}" for alias in node.names)}
    return names


def import_circle(modules: Mapping[str, Path]) -> list[str]:
    """Return modules each of which imports the next, and whose last is the first; empty without a circle."""
    imports = {name: (imports_of(file) & modules.keys()) - {name} for name, file in modules.items()}
    try:
        TopologicalSorter(imports).prepare()
    except CycleError as error:
        return list(reversed(error.args[1]))
    return []


def test_no_two_files_import_each_other() -> None:
    modules = modules_below(ROOTS)
    assert {"nightjar.declaration.use_case", "nightjar_airflow.dags", "nightjar_spark.score"} <= modules.keys()
    assert import_circle(modules) == []


@pytest.mark.parametrize(
    "back",
    ["from shop.a import A", "from shop import a", "import shop.a", "def f():\n    import shop.a",
     "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from shop.a import A"],
)  # fmt: skip
def test_a_circle_is_found_however_it_is_imported(tmp_path: Path, back: str) -> None:
    package = tmp_path / "shop"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "a.py").write_text("from shop.b import B\n\nA = B\n")
    (package / "b.py").write_text("from shop.c import C\n\nB = C\n")
    (package / "c.py").write_text("C = 1\n")
    assert import_circle(modules_below([tmp_path])) == []
    (package / "c.py").write_text(f"{back}\n\nC = 1\n")
    circle = import_circle(modules_below([tmp_path]))
    assert circle[0] == circle[-1]
    assert set(circle) == {"shop.a", "shop.b", "shop.c"}

"""``make new-use-case``: write the folder and DAG file of a new use case that loads, parses and passes lint."""

from __future__ import annotations

from datetime import date
from importlib.util import find_spec
from pathlib import Path

from nightjar.declaration.reserved import check_use_case_name
from nightjar.protocol.errors import ConfigurationError

_TEMPLATES = Path(__file__).parent / "templates"


def new_use_case(root: Path, name: str) -> list[Path]:
    """Write the files of use case ``name``, and return their paths.

    Args:
        root: The checkout.
        name: Lower-case identifier: folder, DAG prefix, table and model name.

    Raises:
        ConfigurationError: for an invalid or an existing name.
    """
    check_use_case_name(name, where="NAME")
    folder = root / "include" / "use_cases" / name
    files = {
        folder / "__init__.py": "init.py.txt",
        folder / "sources.py": "sources.py.txt",
        folder / "use_case.py": "use_case.py.txt",
        folder / "features.py": "features.py.txt",
        folder / "README.md": "README.md.txt",
        root / "dags" / f"{name}.py": "dag.py.txt",
    }
    if taken := [str(path.relative_to(root)) for path in (folder, *files) if path.exists()]:
        raise ConfigurationError(
            f"use case {name!r} already exists",
            where=", ".join(taken),
            how_many=len(taken),
            fix="choose another name, or remove these files",
        )
    if find_spec(name) is not None:
        raise ConfigurationError(
            f"{name!r} is an installed package, which dags/{name}.py would shadow in every program",
            where="NAME",
            fix=f"choose another name, e.g. {name}_risk",
        )
    words = {"{{name}}": name, "{{title}}": name.replace("_", " ").capitalize(), "{{year}}": str(date.today().year)}
    folder.mkdir(parents=True)
    for file, template in files.items():
        text = (_TEMPLATES / template).read_text()
        for placeholder, word in words.items():
            text = text.replace(placeholder, word)
        file.write_text(text)
        print(f"wrote {file.relative_to(root)}")
    print(f"Start with include/use_cases/{name}/README.md")
    return list(files)

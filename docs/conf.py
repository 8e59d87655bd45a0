"""Sphinx configuration of the documentation site. ``make docs`` builds it into ``var/docs``, without a network."""

from __future__ import annotations

import os
import re
import sys
import tomllib
from pathlib import Path

from sphinx.application import Sphinx

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT / folder) for folder in ("docs/_extensions", "include", "plugins", "spark", "jobs")]

project = "Nightjar"
author = "Nightjar contributors"
copyright = "Nightjar contributors, Apache-2.0"
release = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
version = release

extensions = ["myst_parser", "package_reference", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
exclude_patterns = ["_extensions"]
nitpicky = False

myst_enable_extensions = ["colon_fence"]
myst_heading_anchors = 4

autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_typehints_format = "short"
autodoc_preserve_defaults = True
# Airflow reads its configuration and writes files when it is imported; Great Expectations takes long and logs a lot.
autodoc_mock_imports = ["airflow", "great_expectations"]
os.environ["AIRFLOW_HOME"] = str(ROOT / "var" / "docs" / "airflow")
# Several packages have a class of the same short name (Network, Verdict, Group): Sphinx links the first.
suppress_warnings = ["ref.python"]
# Reference pages show what the docstrings of modules, classes and functions say, each where it is defined.
autodoc_default_options = {"members": True, "ignore-module-all": True}
napoleon_google_docstring = True
napoleon_numpy_docstring = False
napoleon_use_ivar = True  # fields of a dataclass are documented once, in the class

html_theme = "furo"
html_title = f"Nightjar {release}"
html_copy_source = False
html_show_sphinx = False
html_static_path: list[str] = []


def escape_trailing_underscores(
    _app: Sphinx, _what: str, _name: str, _object: object, _options: object, lines: list[str]
) -> None:
    """Escape names like ``np.bool_`` in types, which reStructuredText takes for links."""
    lines[:] = [re.sub(r"(?<=\w)_(?=[\],])", r"\_", line) if ":vartype" in line else line for line in lines]


def shorten_annotations(
    _app: Sphinx, _what: str, _name: str, _object: object, _options: object, signature: str | None, returns: str | None
) -> tuple[str | None, str | None]:
    """Show ``Annotated[str, <check>]`` as ``str``: a check has no text, only an address in memory."""
    return signature and re.sub(r"~?(?:typing\.)?Annotated\[(\w+), <[^>]*>\]", r"\1", signature), returns


def setup(app: Sphinx) -> None:
    """Register the handlers, those of docstrings after napoleon's."""
    app.connect("autodoc-process-signature", shorten_annotations)
    app.connect("autodoc-process-docstring", escape_trailing_underscores, priority=900)

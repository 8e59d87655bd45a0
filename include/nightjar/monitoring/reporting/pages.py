"""Jinja environment of the reports."""

from __future__ import annotations

from collections.abc import Callable
from importlib import resources
from typing import Any

from jinja2 import Environment, FunctionLoader, StrictUndefined

from nightjar.monitoring.reporting import formatting


def read(name: str) -> str:
    """Return the text of a file of ``templates/``."""
    return resources.files("nightjar.monitoring.reporting").joinpath("templates", name).read_text(encoding="utf-8")


def environment(functions: dict[str, Callable[..., Any]]) -> Environment:
    """Return an environment with autoescaping, in which templates can call ``functions``."""
    jinja = Environment(
        loader=FunctionLoader(read), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    jinja.filters.update(
        number=formatting.number,
        count=formatting.count,
        share=formatting.share,
        signed_share=formatting.signed_share,
        probability=formatting.probability,
        psi=formatting.psi,
        breakable=formatting.breakable,
    )
    jinja.globals.update(functions)
    return jinja

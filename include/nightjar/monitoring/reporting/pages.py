"""What the reports share: templates beside this module, and figures in formatting."""

from __future__ import annotations

from collections.abc import Callable
from importlib import resources
from typing import Any

from jinja2 import Environment, FunctionLoader, StrictUndefined

from nightjar.monitoring.reporting import formatting


def read(name: str) -> str:
    """A file of ``templates/``."""
    return resources.files("nightjar.monitoring.reporting").joinpath("templates", name).read_text(encoding="utf-8")


def environment(functions: dict[str, Callable[..., Any]]) -> Environment:
    """Templates that escape what they are given, and may call ``functions``."""
    made = Environment(
        loader=FunctionLoader(read), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    made.filters.update(
        number=formatting.number,
        count=formatting.count,
        share=formatting.share,
        signed_share=formatting.signed_share,
        probability=formatting.probability,
        psi=formatting.psi,
        breakable=formatting.breakable,
    )
    made.globals.update(functions)
    return made

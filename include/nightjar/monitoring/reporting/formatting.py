"""Figures and names as reports show them. Plain text; escaping is the template's."""

from __future__ import annotations

import math
import re

from markupsafe import Markup


def number(value: float) -> str:
    """Three significant digits, thousands with thin spaces, a true minus sign."""
    if value == 0:
        return "0"
    size = abs(value)
    if size >= 1e9 or size < 1e-4:
        text = f"{value:.2e}"
    elif size >= 1000:
        text = f"{value:,.0f}".replace(",", "\u202f")
    else:
        text = f"{value:.3g}"
    return text.replace("-", "\u2212")


def rounded(value: float, scale: float) -> str:
    """A number with the decimals that matter where things differ by ``scale`` (a spread, in the number's unit)."""
    decimals = 2 - math.floor(math.log10(scale)) if scale > 0 else 15
    return number(round(value, min(max(decimals, 0), 15)))


def psi(value: float) -> str:
    """A PSI: two decimals, as its thresholds have."""
    return f"{value:.2f}"


def count(value: int) -> str:
    """A whole number with thin spaces between thousands."""
    return f"{value:,}".replace(",", "\u202f")


def breakable(name: str) -> Markup:
    """A name that may be broken over lines after ``_`` and ``/``, and only there."""
    return Markup("<wbr>").join(re.split(r"(?<=[_/])", name))


def share(value: float) -> str:
    """A share as percent: one decimal below ten, none above, and never a rounded 0 or 100."""
    percent = 100 * value
    if 0 < percent < 0.1:
        return "<0.1\u202f%"
    if 99.9 < percent < 100:
        return ">99.9\u202f%"
    return f"{percent:.0f}\u202f%" if percent >= 9.95 or percent == 0 else f"{percent:.1f}\u202f%"


def signed_share(value: float) -> str:
    """A change as percent, with its sign."""
    sign = "\u2212" if value < 0 else "+"
    return f"{sign}{share(abs(value))}"


def probability(value: float | None) -> str:
    """A p or q value; a dash for none."""
    if value is None:
        return "\u2013"
    return "<0.0001" if value < 1e-4 else f"{value:.2g}"

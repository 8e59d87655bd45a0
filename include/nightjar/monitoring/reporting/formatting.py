"""Format numbers and names for reports. Plain text; the template escapes it."""

from __future__ import annotations

import math
import re

from markupsafe import Markup


def number(value: float) -> str:
    """Format a number: three significant digits, thousands with thin spaces, a true minus sign."""
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
    """Format a number with the decimals that are significant at ``scale`` (a spread, in the number's unit)."""
    decimals = 2 - math.floor(math.log10(scale)) if scale > 0 else 15
    return number(round(value, min(max(decimals, 0), 15)))


def psi(value: float) -> str:
    """Format a PSI with two decimals, like its thresholds."""
    return f"{value:.2f}"


def count(value: int) -> str:
    """Format a whole number with thin spaces between thousands."""
    return f"{value:,}".replace(",", "\u202f")


def breakable(name: str) -> Markup:
    """Allow line breaks in a name after ``_`` and ``/`` only."""
    return Markup("<wbr>").join(re.split(r"(?<=[_/])", name))


def share(value: float) -> str:
    """Format a share as percent: one decimal below ten, none above, and never a rounded 0 or 100."""
    percent = 100 * value
    if 0 < percent < 0.1:
        return "<0.1\u202f%"
    if 99.9 < percent < 100:
        return ">99.9\u202f%"
    return f"{percent:.0f}\u202f%" if percent >= 9.95 or percent == 0 else f"{percent:.1f}\u202f%"


def signed_share(value: float) -> str:
    """Format a change as percent, with its sign."""
    sign = "\u2212" if value < 0 else "+"
    return f"{sign}{share(abs(value))}"


def probability(value: float | None) -> str:
    """Format a p-value or q-value; a dash for None."""
    if value is None:
        return "\u2013"
    return "<0.0001" if value < 1e-4 else f"{value:.2g}"

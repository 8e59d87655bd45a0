"""All kinds of corruption, in the order in which tests choose from them."""

from __future__ import annotations

from tests.corruptions import files, nights, units, values
from tests.corruptions.kind import Kind

KINDS: list[Kind] = [*files.KINDS, *units.KINDS, *values.KINDS, *nights.KINDS]

"""How a wrong declaration is refused, for tests of tables of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import pytest
from tests.landed_nights import SHOP

from nightjar.protocol.errors import ConfigurationError

Declare = Callable[[], Any]
Wrong = tuple[Declare, str, str, str]
"""What declares, and parts of what is said: what is wrong, where, and what may be there."""


def shop(**changed: Any) -> Declare:
    """Declare the small use case with other values."""
    return lambda: replace(SHOP, **changed)


def cases(wrong: Mapping[str, Sequence[Wrong]]) -> list[Any]:
    """Parameters of a test for all of a table's declarations."""
    return [pytest.param(*case, id=f"{kind}-{i}") for kind, listed in wrong.items() for i, case in enumerate(listed)]


def assert_refused(declare: Declare, what: str, where: str, allowed: str) -> None:
    """Declare, and compare the refusal; it must name the file of the declaration, too."""
    with pytest.raises(ConfigurationError) as caught:
        declare()
    assert what in caught.value.what
    assert where in caught.value.where
    assert "declared in nightjar/declaration/" in caught.value.where
    assert allowed in caught.value.fix

"""Helpers for table-driven tests of wrong declarations."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from datetime import date
from typing import Any

import pytest
from tests.declarations import with_fields
from tests.landed_nights import SHOP

from nightjar.declaration.experiment import Experiment, Sequential
from nightjar.declaration.training import Training
from nightjar.protocol.errors import ConfigurationError

Declare = Callable[[], Any]
Wrong = tuple[Declare, str, str, str]
"""A declaration, and parts of its error: what, where, fix."""
SPLIT = Experiment(
    name="half",
    variants={"champion": 0.5, "challenger": 0.5},
    metric="brier",
    design=Sequential(effect=0.1),
    first_night=date(2013, 4, 2),
)
BOUNDED = with_fields(SHOP, schedule={"last_night": date(2013, 12, 31)})


def shop(**changed: Any) -> Declare:
    """Return a function that declares the small use case with other values; see :func:`with_fields`."""
    return lambda: with_fields(SHOP, **changed)


def data(**changed: Any) -> Declare:
    return shop(data=changed)


def features(**changed: Any) -> Declare:
    return shop(features=changed)


def training(**fields: Any) -> Declare:
    return lambda: Training(**fields)


def cases(wrong: Mapping[str, Sequence[Wrong]]) -> list[Any]:
    """Return the parameters of a test for all declarations of a table."""
    return [pytest.param(*case, id=f"{kind}-{i}") for kind, listed in wrong.items() for i, case in enumerate(listed)]


def assert_refused(declare: Declare, what: str, where: str, allowed: str) -> None:
    """Declare, and compare the error, which must also name the file of the declaration."""
    with pytest.raises(ConfigurationError) as caught:
        declare()
    assert what in caught.value.what
    assert where in caught.value.where
    assert re.search(r"declared in (nightjar/declaration/|\w+/tests/declarations\.py:)", caught.value.where)
    assert allowed in caught.value.fix

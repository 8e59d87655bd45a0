"""Python examples in README and docs run.

A block runs as it stands, with the names of the declaration. A comment above a block gives it another context::

    <!-- example: fields of UseCase -->

``CONTEXTS`` lists them. ``ruff format`` formats the blocks too, so a block cannot be ``drift=Drift(),``: that becomes a
tuple. Blocks with fields assign them.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import replace
from datetime import date
from pathlib import Path

import numpy as np
import pytest
from tests.docs.pages import Example, examples
from tests.docs.running import fields_of, names_of_declaration, run

from nightjar.declaration.use_case import UseCase
from nightjar.lake.lake import Lake
from nightjar.monitoring.night_run import NightRun
from nightjar.monitoring.profiles.profile import ProfiledColumn
from nightjar.monitoring.profiles.summarize import profile_arrays
from nightjar.monitoring.profiles.table import PROFILES_TABLE, profile_rows
from nightjar.protocol.errors import NightjarError
from use_cases.flight_delay.use_case import USE_CASE

OTHER_TESTS = ("tutorial", "features of customers")
"""Beginnings of contexts whose examples run in other tests."""
EXAMPLES = [example for example in examples() if not example.context.startswith(OTHER_TESTS)]


def run_alone(example: Example, _: Path) -> None:
    run(example, names_of_declaration())


def run_as_fields_of_use_case(example: Example, _: Path) -> None:
    fields = fields_of(example)
    assert isinstance(replace(USE_CASE, **fields), UseCase)


def run_on_a_month_of_profiles(example: Example, folder: Path) -> None:
    """Run with ``model_folder``, which holds a reference profile, and ``lake``, which holds profiles of June 2013."""
    columns = [ProfiledColumn("wind", "numeric"), ProfiledColumn("carrier", "categorical")]
    training = {"wind": np.linspace(0, 30, 600), "carrier": ["UA", "B6"] * 300}
    reference = profile_arrays(training, columns)
    model = folder / "model"
    model.mkdir()
    (model / "profile.json").write_text(reference.to_json())
    digest = hashlib.sha256((model / "profile.json").read_bytes()).hexdigest()
    (model / "SHA256SUMS").write_text(f"{digest}  profile.json\n")
    lake, nights = Lake(str(folder / "lake")), [date(2013, 6, 1), date(2013, 6, 2)]
    for night in nights:
        rows = profile_rows(
            profile_arrays({"wind": training["wind"] + 5, "carrier": training["carrier"]}, columns, reference),
            NightRun(night=night, use_case="flight_delay", run_id="r"),
            model_sha256="ab",
            model_version="1",
        )
        lake.table(PROFILES_TABLE).replace(rows, [night], use_case="flight_delay", run_id="r")
    run(example, {"lake_uri": lake.uri, "model_folder": str(model)})


CONTEXTS: dict[str, Callable[[Example, Path], None]] = {
    "": run_alone,
    "fields of UseCase": run_as_fields_of_use_case,
    "a month of profiles": run_on_a_month_of_profiles,
}


def test_pages_have_examples() -> None:
    assert len(EXAMPLES) >= 7


@pytest.mark.parametrize("example", EXAMPLES, ids=str)
def test_example_runs(example: Example, tmp_path: Path) -> None:
    assert example.context in CONTEXTS, f"{example}: unknown context {example.context!r}, use one of {list(CONTEXTS)}"
    CONTEXTS[example.context](example, tmp_path)


WRONG = {
    "tuple": "monitoring = (Monitoring(),)",
    "range": "monitoring = Monitoring(drift=Drift(max_psi=-1))",
    "class": "monitoring = Monitoring(drift=Draft())",
    "field": "monitored = Monitoring()",
}


@pytest.mark.parametrize("code", WRONG.values(), ids=WRONG)
def test_wrong_field_fails(code: str, tmp_path: Path) -> None:
    example = Example(page="docs/wrong.md", line=1, code=code, context="fields of UseCase")
    with pytest.raises((NightjarError, NameError, TypeError), match=r"monitor|max_psi|Draft"):
        CONTEXTS[example.context](example, tmp_path)

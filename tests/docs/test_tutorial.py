"""The tutorial matches what ``make new-use-case`` writes; tests/nightjar_jobs/test_tutorial_to_scores.py runs it."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path

import pytest
from tests.declarations import with_fields
from tests.docs.pages import ROOT, Example, examples
from tests.docs.running import fields_of, run

import use_cases
from nightjar.declaration.use_case import UseCase, load_use_case
from nightjar.local.scaffold import new_use_case
from nightjar.protocol.nights import Nights
from nightjar.validation.landing import check_landing

PAGE = ROOT / "docs" / "tutorial.md"


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder with the use case of the tutorial, importable as ``use_cases.churn``."""
    for folder in ("include/use_cases", "dags"):
        (tmp_path / folder).mkdir(parents=True)
    new_use_case(tmp_path, "churn")
    monkeypatch.setattr(use_cases, "__path__", [*use_cases.__path__, str(tmp_path / "include" / "use_cases")])
    yield tmp_path
    for name in [name for name in sys.modules if name.startswith("use_cases.churn")]:
        del sys.modules[name]


def examples_of_tutorial(context: str) -> list[Example]:
    return [found for found in examples() if found.page == "docs/tutorial.md" and context in found.context]


def declared_by_tutorial(use_case: UseCase) -> UseCase:
    (first_night,) = re.findall(r"`first_night=date\((\d+), (\d+), (\d+)\),`", PAGE.read_text())
    use_case = with_fields(use_case, schedule={"first_night": date(*map(int, first_night))})
    for example in examples_of_tutorial("fields of UseCase"):
        use_case = replace(use_case, **fields_of(example))
    return use_case


def test_tutorial_lists_the_files_that_are_written(checkout: Path) -> None:
    written = {path.relative_to(checkout).as_posix() for path in checkout.rglob("*") if path.suffix in {".py", ".md"}}
    assert set(re.findall(r"^\| `(\S+churn\S*)` \|", PAGE.read_text(), re.MULTILINE)) == written


def test_tutorial_quotes_the_declaration_that_is_written(checkout: Path) -> None:
    written = load_use_case("churn")
    declared = declared_by_tutorial(written)
    assert declared == replace(written, schedule=declared.schedule)
    sources = (checkout / "include" / "use_cases" / "churn" / "sources.py").read_text()
    (rule,) = re.findall(r"`(between\(.*?\))`", " ".join(PAGE.read_text().split()))
    assert rule in sources


def test_landed_data_pass_the_landing_check(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    use_case = declared_by_tutorial(load_use_case("churn"))
    (example,) = examples_of_tutorial("tutorial landing")
    monkeypatch.chdir(checkout)
    run(example, {})
    last = max(map(date.fromisoformat, re.findall(r"(?:TO|DATE)=(\d{4}-\d\d-\d\d)", PAGE.read_text())))
    nights = Nights(first=use_case.schedule.first_night, last=last, timezone=use_case.schedule.timezone)
    landed = check_landing(str(checkout / "var" / "lake" / "landing"), use_case, nights)
    assert len(landed) == len(use_case.data.sources) * ((last - use_case.schedule.first_night) // timedelta(days=1) + 1)
    assert not [file for file in landed if file.unknown]


def test_two_months_are_enough_to_train(checkout: Path) -> None:
    use_case = declared_by_tutorial(load_use_case("churn"))
    (span,) = re.findall(r"make train USE_CASE=churn FROM=(\S+) TO=(\S+)", PAGE.read_text())
    first, last = map(date.fromisoformat, span)
    days = (last - first).days  # labels of the first night have no features
    assert days - use_case.training.holdout_days - use_case.training.validation_days >= 30
    entities = int(re.search(r"^ENTITIES = (\d+)$", PAGE.read_text(), re.MULTILINE)[1])  # type: ignore[index]
    assert entities * use_case.training.holdout_days >= use_case.gate.min_holdout_rows

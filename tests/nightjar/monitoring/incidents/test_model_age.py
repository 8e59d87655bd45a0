"""The age of a version, from the ledger and the folder of the run that trained it."""

from __future__ import annotations

from datetime import date

from tests.training_sets import DAY, training_set

from nightjar.lake import files, ledger
from nightjar.lake.lake import Lake
from nightjar.monitoring.incidents.model_age import model_age_days
from nightjar.protocol.documents import dump_json
from nightjar.protocol.job import JobSpec
from nightjar.training.data.training_set import training_set_uri

NIGHT = date(2013, 1, 31)


def judge(lake: Lake, version: str, run_id: str) -> JobSpec:
    """The gate of a training's run looks at a version."""
    spec = JobSpec(
        program="gate", use_case="shop", first_night=DAY, last_night=DAY, dag_id="shop_training", run_id=run_id,
        task_id="gate", lake=lake.uri,
    )  # fmt: skip
    ledger.record(lake, ledger.Event.of(spec, "gate", model_version=version))
    return spec


def test_the_age_is_that_of_its_last_training_day(lake: Lake) -> None:
    spec = judge(lake, "7", "manual__2013-01-03T04:00:00+00:00")
    files.write_text(training_set_uri(spec), dump_json(training_set(())))
    assert model_age_days(lake, "shop", "7", NIGHT) == 29
    assert model_age_days(lake, "shop", "8", NIGHT) is None
    assert model_age_days(lake, "other", "7", NIGHT) is None


def test_a_version_whose_training_is_not_known_any_more_has_no_age(lake: Lake) -> None:
    assert model_age_days(lake, "shop", "7", NIGHT) is None
    judge(lake, "7", "r")
    assert model_age_days(lake, "shop", "7", NIGHT) is None

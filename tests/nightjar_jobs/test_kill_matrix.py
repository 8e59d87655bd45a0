"""Programs killed at any moment: readers see the last good state, and the retry ends as if nothing had happened.

``make kill-matrix`` runs every case; the tests run some, chosen by a seed that they print.
"""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from tests.kill_matrix.victims import Kill, choose, judge, kill
from tests.nightjar_jobs.nights import NEXT, SCORES, USE_CASE, Nights

from nightjar.lake import ledger
from nightjar.lake.lake import Lake
from nightjar.protocol.documents import dump_json
from nightjar.registry import models
from nightjar.runner import run_program
from nightjar_jobs import evaluate, gate, promote, register

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

pytestmark = [pytest.mark.e2e, pytest.mark.spark, pytest.mark.timeout(3600)]
NIGHTLY = ("score", "validate_scores", "publish_scores")
TRAINING = ("register", "promote")
Rows = Counter[tuple[Any, ...]]


def rows_of(lake: str) -> Rows:
    """The scores as readers see them, as a multiset."""
    table = Lake(lake).table(SCORES).open().to_pyarrow_table()
    return Counter(tuple(row.values()) for row in table.select(SCORES.column_names).to_pylist())


def commits_of(lake: str, run_id: str) -> int:
    return sum(made.get("dag_run_id") == run_id for made in Lake(lake).table(SCORES).open().history())


def test_a_night_that_is_killed_anywhere_is_published_once(
    spark: SparkSession, nights: Nights, versions: list[str], tmp_path: Path
) -> None:
    assert nights.whole().status == "succeeded"
    nights.features(NEXT)
    base = nights.lake
    before = rows_of(base)
    undisturbed = Nights(spark, str(tmp_path / "undisturbed"))
    shutil.copytree(base, undisturbed.lake)
    assert undisturbed.whole(night=NEXT, run_id="b").status == "succeeded"
    after = rows_of(undisturbed.lake)
    assert sum(after.values()) == 2 * sum(before.values())

    def examine(number: int, case: Kill) -> None:
        models.set_champion(models.resolve(USE_CASE.name, versions[0]))
        here = Nights(spark, str(tmp_path / f"case{number}"))
        shutil.copytree(base, here.lake)
        for step in NIGHTLY[: NIGHTLY.index(case.step)]:
            assert here.run(step, night=NEXT, run_id="b").status == "succeeded"
        kill(case, here.spec(case.step, night=NEXT, run_id="b"), tmp_path / "marker")
        models.set_champion(models.resolve(USE_CASE.name, versions[1]))  # until somebody clears it
        seen = rows_of(here.lake)
        assert seen in (before, after), "readers see a night that is half there"
        if case.step != "publish_scores":
            assert seen == before
        for step in NIGHTLY[NIGHTLY.index(case.step) :]:
            result = here.run(step, night=NEXT, run_id="b")
            assert result.status == "succeeded", result.error
        assert rows_of(here.lake) == after, "other rows than undisturbed"
        assert commits_of(here.lake, "b") == 1
        published = ledger.read(Lake(here.lake), event="publish", run_id="b")
        assert published.num_rows == 1
        shutil.rmtree(here.lake)

    judge(choose(NIGHTLY, 5), examine)


def test_a_training_that_is_killed_while_it_registers_or_promotes_does_so_once(
    trained: Any, new_run: Callable[..., Any], registry: str, tmp_path: Path
) -> None:
    import mlflow

    programs = {"register": register.run, "gate": gate.run, "promote": promote.run}
    client = mlflow.MlflowClient()

    def examine(number: int, case: Kill) -> None:
        run = new_run(f"matrix-{number}")
        run.adopt(trained, "freeze_training_set", "train")
        result = run.result("train")  # of a training of its own, so that its version is
        (Path(run.spec("train").output) / "result.json").write_text(
            dump_json(result).replace(result.spec_fingerprint, run.spec("train").fingerprint)
        )
        assert run_program(evaluate.run, run.spec("evaluate")).status == "succeeded"
        before = models.champion(USE_CASE.name)
        order = ["register", "gate", "promote"]
        for step in order[: order.index(case.step)]:
            result = run_program(programs[step], run.spec(step))
            assert result.status == "succeeded", result.error
        if case.step == "promote":
            run.change_values("gate", verdict="promote")  # as good as the champion is not better; here it is
        kill(case, run.spec(case.step), tmp_path / "marker")
        seen = models.champion(USE_CASE.name)
        mine = models.find(USE_CASE.name, {models.RUN_TAG: run.run_id})
        assert seen in (before, mine)
        for step in order[order.index(case.step) :]:
            result = run_program(programs[step], run.spec(step))
            assert result.status == "succeeded", result.error
            if step == "gate":
                run.change_values("gate", verdict="promote")
        assert len(client.search_model_versions(f"name='{USE_CASE.name}'")) == number + 1
        mine = models.find(USE_CASE.name, {models.RUN_TAG: run.run_id})
        assert mine is not None
        champion = models.champion(USE_CASE.name)
        assert champion is not None
        assert champion.version == mine.version
        assert len(run.events("promotion")) == 1

    judge(choose(TRAINING, 4), examine)

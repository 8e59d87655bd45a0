"""The budget of a shared study is exact, also when workers are killed."""

from __future__ import annotations

import json
import multiprocessing
import os
import random
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from tests.small_disk import fill, small_disk
from tests.training_sets import training_set

from nightjar.declaration.engines import Boosting
from nightjar.declaration.spaces import FloatRange
from nightjar.declaration.training import Tuning
from nightjar.lake.lake import Lake
from nightjar.protocol.errors import StorageFullError, TrainingError
from nightjar.protocol.job import JobSpec
from nightjar.training.data.training_set import TrainingSet
from nightjar.training.tuning.study import EngineStudy

ENGINE = Boosting(params={"eta": 0.3}, space={"eta": FloatRange(0.01, 0.5)})
TRIALS, WORKERS, DIED = 21, 3, 9


def tuned(trials: int = TRIALS, seed: int = 1) -> TrainingSet:
    asked = training_set((), engines=(ENGINE,))
    return replace(asked, recipe=replace(asked.recipe, tuning=Tuning(trials=trials, folds=2), seed=seed))


def study(lake: Lake, worker: int = 0, of: TrainingSet | None = None) -> EngineStudy:
    night = date(2013, 4, 1)
    spec = JobSpec(
        program="tune", use_case="x", first_night=night, last_night=night, dag_id="d", run_id="r", task_id="tune",
        map_index=worker, lake=lake.uri,
    )  # fmt: skip
    return EngineStudy(spec, of or tuned(), ENGINE)


def work(lake: Lake, worker: int) -> None:
    """A worker that dies in one of five trials, and fails in one of five others."""
    chance = random.Random(os.getpid())
    mine = study(lake, worker)
    mine.requeue_unfinished()
    while (trial := mine.claim()) is not None:
        eta = mine.params(trial)["eta"]
        fate = chance.random()
        if fate < 0.2:
            os._exit(DIED)
        if fate < 0.4:
            mine.fail(trial, "diverged")
        elif mine.report(trial, 1 - eta, 1):
            mine.prune(trial)
        else:
            mine.complete(trial, 1 - eta)


def test_killed_and_restarted_workers_run_exactly_the_declared_trials(lake: Lake) -> None:
    def start(worker: int) -> Any:
        process = multiprocessing.get_context("fork").Process(target=work, args=(lake, worker))
        process.start()
        return process

    deaths, alive = 0, {worker: start(worker) for worker in range(WORKERS)}
    while alive:
        for worker, process in list(alive.items()):
            process.join(0.02)
            if process.exitcode == 0:
                del alive[worker]
            elif process.exitcode is not None:
                assert process.exitcode == DIED
                deaths += 1
                alive[worker] = start(worker)
    found = study(lake)
    assert found.is_exhausted
    assert sum(found.counts().values()) == TRIALS
    counted = found._counted()
    assert sum("declared" in trial.user_attrs for trial in counted) == 1
    assert len({trial.params["eta"] for trial in counted}) == TRIALS, "nothing is tried twice"
    lost = [trial for trial in found._trials() if trial not in counted and trial.params]
    assert len(lost) == deaths
    assert {trial.params["eta"] for trial in lost} <= {trial.params["eta"] for trial in counted}


def test_suggestions_follow_the_seed_and_the_worker(tmp_path: Path) -> None:
    def first_suggestion(name: str, worker: int, seed: int) -> float:
        (tmp_path / name).mkdir()
        mine = study(Lake(str(tmp_path / name)), worker, tuned(seed=seed))
        declared, trial = mine.claim(), mine.claim()
        assert declared is not None
        assert trial is not None
        assert mine.params(declared) == {"eta": 0.3}
        return float(mine.params(trial)["eta"])

    one = first_suggestion("a", 0, 1)
    assert first_suggestion("b", 0, 1) == one
    assert first_suggestion("c", 1, 1) != one
    assert first_suggestion("d", 0, 7) != one


def test_only_trials_that_are_worse_than_most_are_pruned_and_the_declared_one_never(lake: Lake) -> None:
    mine = study(lake)
    declared = mine.claim()
    assert declared is not None
    for mean in (0.6, 0.7, 0.8, 0.7, 0.75):
        trial = mine.claim()
        assert trial is not None
        assert not mine.report(trial, mean, 1)
        mine.complete(trial, mean)
    assert not mine.report(declared, 0.1, 1)
    mine.complete(declared, 0.1)
    worse, better = mine.claim(), mine.claim()
    assert worse is not None
    assert better is not None
    assert mine.report(worse, 0.65, 1)
    mine.prune(worse)
    assert not mine.report(better, 0.78, 1)
    assert mine.best().values == [0.8]
    assert (mine.declared_score(), mine.best_score()) == (0.1, 0.8)


def test_of_a_loss_less_is_better_and_more_is_pruned(lake: Lake) -> None:
    asked = tuned()
    by_loss = replace(asked, recipe=replace(asked.recipe, decisive_metric="log_loss"))
    mine = study(lake, of=by_loss)
    declared = mine.claim()
    assert declared is not None
    mine.complete(declared, 0.9)
    for mean in (0.4, 0.3, 0.2, 0.3, 0.25):
        trial = mine.claim()
        assert trial is not None
        assert not mine.report(trial, mean, 1)
        mine.complete(trial, mean)
    worse, better = mine.claim(), mine.claim()
    assert worse is not None
    assert better is not None
    assert mine.report(worse, 0.35, 1)
    assert not mine.report(better, 0.22, 1)
    assert mine.best().values == [0.2]
    assert (mine.declared_score(), mine.best_score()) == (0.9, 0.2)


def test_another_training_set_is_another_study(lake: Lake) -> None:
    mine = study(lake)
    trial = mine.claim()
    assert trial is not None
    mine.complete(trial, 0.7)
    with pytest.raises(TrainingError, match="no trial of boosting was completed; none was started in time"):
        study(lake, of=tuned(trials=5)).best()
    assert study(lake).best_score() == 0.7


@pytest.mark.parametrize(
    "tail", [b'{"op_code":', b'{"op_code":4,"worker_id":"x"}', b"\0" * 5000, b"\xff", b"x" * 200_000]
)
def test_half_a_line_at_the_end_of_the_journal_is_removed_and_the_study_goes_on(lake: Lake, tail: bytes) -> None:
    mine = study(lake)
    first = mine.claim()
    assert first is not None
    mine.complete(first, 0.7)
    (journal,) = Path(lake.uri).rglob("tune.journal")
    with journal.open("ab") as file:
        file.write(tail)
    for worker in (1, 2):  # the first of them writes over what was cut off, the second reads what it has written
        other = study(lake, worker)
        trial = other.claim()
        assert trial is not None
        other.complete(trial, 0.7 + worker / 100)
    assert study(lake).best_score() == 0.72
    assert all(json.loads(line) for line in journal.read_text().splitlines())


def test_a_full_disk_leaves_the_journal_as_it_was(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", 200) as disk:
        mine = study(Lake(str(disk)))
        trial = mine.claim()
        assert trial is not None
        (journal,) = disk.rglob("tune.journal")
        filler = fill(disk)
        with pytest.raises(StorageFullError, match="no space left"):
            mine.fail(trial, "x" * 8192)
        assert journal.read_bytes().endswith(b"}\n")
        filler.unlink()
        again = study(Lake(str(disk)))
        assert again.requeue_unfinished() == 1
        assert again.claim() is not None

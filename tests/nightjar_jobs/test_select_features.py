"""Features are selected, engines tuned, and what comes of it is trained, registered and trained again."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from nightjar.declaration.engines import Boosting
from nightjar.declaration.spaces import IntRange
from nightjar.declaration.training import Selection, Tuning
from nightjar.lake import files
from nightjar.monitoring.profiles.profile import Profile
from nightjar.protocol.documents import dump_json
from nightjar.protocol.results import parse_result
from nightjar.runner import run_program
from nightjar.training.data.training_set import CHOOSE_TASK, SELECT_TASK, TrainingSet, training_set_uri
from nightjar.training.model import TabularModel
from nightjar_jobs import choose_params, evaluate, register
from nightjar_jobs.reproduce import reproduce

pytestmark = pytest.mark.e2e


def test_the_selected_and_tuned_set_is_what_is_trained_registered_and_reproduced(
    new_run: Callable[..., Any], registry: str
) -> None:
    run = new_run("staged")
    frozen = run.freeze()
    names = [feature.name for feature in frozen.features]
    constraints = "(" + ",".join(str(int(name == "distance")) for name in names) + ")"
    engine = Boosting(
        params={"max_depth": 3, "eta": 0.3, "monotone_constraints": constraints},
        num_rounds=20,
        early_stopping_rounds=None,
        space={"max_depth": IntRange(2, 4)},
    )
    asked = replace(frozen.recipe, engines=(engine,), tuning=Tuning(trials=2, folds=2), selection=Selection(probes=2))
    files.write_text(training_set_uri(run.spec("train")), dump_json(replace(frozen, recipe=asked)))

    selected = run("select_features")
    assert selected.status == "succeeded", selected.error
    kept = TrainingSet.input_of(run.spec("tune"), CHOOSE_TASK)
    signal = next(feature.name for feature in frozen.features if feature.kind == "numeric")
    assert signal in [feature.name for feature in kept.features], "the one column that labels follow"
    assert {feature.name for feature in kept.features} | set(selected.dropped) == set(names)
    assert len(kept.features) == selected.metrics["features_kept"] < len(names) / 2
    assert (kept.recipe.selection, kept.recipe.tuning) == (None, asked.tuning)

    launched = run.launch("tune", map_index=0)
    launched.ranks.wait()
    assert parse_result(files.read_text(f"{launched.spec.output}/result.json")).status == "succeeded"
    assert run_program(choose_params.run, run.spec("choose_params")).status == "succeeded"
    final = TrainingSet.of_run(run.spec("train"))
    assert final.features == kept.features

    trained = run("train")
    assert trained.status == "succeeded", trained.error
    model = TabularModel.load(trained.model)
    assert model.card.features == final.features
    assert set(model.card.categories) == {feature.name for feature in final.features if feature.kind == "categorical"}
    assert set(names) < set(Profile.from_json(model.profile).columns), "drift of what is left out is watched as well"

    for program in (evaluate, register):
        result = run_program(program.run, run.spec(program.__name__.rsplit(".", 1)[1]))
        assert result.status == "succeeded", result.error
    assert reproduce("flight_delay", result.model_version).differing == ()


def test_train_says_which_stage_is_missing(new_run: Callable[..., Any]) -> None:
    run = new_run("unselected")
    frozen = run.freeze()
    recipe = replace(frozen.recipe, selection=Selection())
    files.write_text(training_set_uri(run.spec("train")), dump_json(replace(frozen, recipe=recipe)))
    result = run("train")
    assert result.error.startswith("select_features has written no training set")
    assert f"clear the task {SELECT_TASK} of this run" in result.error

"""Training networks by real processes: two ranks, boosting and a network, one model."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.dataset as ds
import pytest
from tests.nightjar_jobs.nights import FEATURES, NIGHT, Nights
from tests.nightjar_jobs.test_fallback import register

from nightjar.declaration.engines import Boosting, DeclaredEngine, Network
from nightjar.declaration.problem import LINEAR
from nightjar.lake import files
from nightjar.lake.lake import Lake
from nightjar.monitoring.profiles.profile import Profile
from nightjar.protocol.documents import dump_json
from nightjar.registry import models
from nightjar.training.candidates import baseline_uri
from nightjar.training.data.training_set import TrainingSet, training_set_uri
from nightjar.training.engines.network import model as network
from nightjar.training.model import TabularModel, download, save
from nightjar.training.recipe import Base

pytestmark = pytest.mark.e2e
MakeRun = Callable[..., Any]

ENGINES = (
    Boosting(params={"max_depth": 3, "eta": 0.2}, num_rounds=30, early_stopping_rounds=None),
    Network(hidden=(64, 32), embedding_width=2, batch_size=32, epochs=8, learning_rate=5e-3),
)


def freeze(run: Any, engines: tuple[DeclaredEngine, ...] = ENGINES, **recipe: Any) -> TrainingSet:
    """Freeze with another recipe than the use case's."""
    frozen: TrainingSet = run.freeze()
    changed = replace(frozen, recipe=replace(frozen.recipe, engines=engines, decisive_metric="auc", **recipe))
    files.write_text(training_set_uri(run.spec("train")), dump_json(changed))
    return changed


@pytest.fixture(scope="module")
def both(training_lake: Path) -> Any:
    """A run whose two ranks have trained boosting and a network."""
    from tests.nightjar_jobs.conftest import Run

    run = Run(training_lake, "both-engines")
    freeze(run, compression=("int8", "pruned", "distilled"))
    assert run("train").status == "succeeded", run.result("train").error
    return run


def model_of(run: Any) -> TabularModel:
    trained = run.result("train")
    return TabularModel.load(trained.model, sha256=trained.model_sha256)


def test_two_ranks_train_two_engines_into_one_model_that_predicts(both: Any) -> None:
    result, model = both.result("train"), model_of(both)
    assert [member.kind for member in model.card.members] == ["boosting", "network"]
    assert model.card.engine.split(" + ")[1].startswith("torch ")
    assert result.metrics["network_validation_auc"] == model.card.members[1].validation_score > 0.67
    assert result.metrics["network_validation_auc"] > result.metrics["baseline_validation_auc"] + 0.1
    assert result.metrics["network_rows_per_second"] > 0
    features = Lake(both.lake).open_table("features/flight_delay").to_pyarrow_dataset()
    table = features.to_table(filter=ds.field("ds") == both.spec("train").first_night)
    predictions = model.predict(table)
    assert 0 < predictions.min() < predictions.max() < 1
    apart = [member.predict(model.encode(table), threads=1) for member in model.members]
    assert np.corrcoef(*apart)[0, 1] > 0.5


def test_smaller_models_are_whole_model_folders_of_their_own(both: Any) -> None:
    full, compressed = model_of(both), both.result("train").compressed
    assert set(compressed) == {"int8", "pruned", "distilled"}
    matrix = np.random.default_rng(1).normal(size=(300, len(full.card.features))).astype(np.float32)
    for name, said in compressed.items():
        small = TabularModel.load(said.model, sha256=said.model_sha256)
        assert said.model.endswith(f"/model-{name}")
        assert small.card.validation_score == said.figures["validation_score"] > 0.6
        assert said.figures["rows_per_second"] > 0 < said.figures["full_rows_per_second"]
        files_of = {key: len(data) for member in small.members for key, data in member.content().items()}
        assert said.figures["bytes"] == sum(files_of.values())
        assert small.card.features == full.card.features
        assert small.predict_matrix(matrix).shape == (300,)
        assert Profile.from_json(small.profile).columns["prediction"].rows == 1015
    assert compressed["int8"].figures["bytes"] < compressed["int8"].figures["full_bytes"]
    cut = TabularModel.load(compressed["pruned"].model)
    _, member = cut.members
    assert isinstance(member, network.Network)
    assert cut.card.members[1].params["hidden"] == list(member.architecture.hidden) == [32, 16]
    (trained_days,) = full.card.seen
    assert cut.card.seen == full.card.seen
    frozen = TrainingSet.of_run(both.spec("train"))
    assert trained_days == (frozen.train.first, frozen.validation.last)
    distilled = TabularModel.load(compressed["distilled"].model)
    assert [member.kind for member in distilled.card.members] == ["boosting"]


def launched_until(run: Any, said: str, victims: tuple[int, ...]) -> list[str]:
    """Train, and kill ranks -9 when rank 0 says so; its lines."""
    launched = run.launch("train")
    pids = [rank.process.pid for rank in launched.ranks._ranks]
    tell = launched.ranks.on_line

    def kill(line: str) -> None:
        tell(line)
        if line.startswith(said):
            for victim in victims:
                os.kill(pids[victim], signal.SIGKILL)

    launched.ranks.on_line = kill
    launched.ranks.wait()
    lines: list[str] = launched.lines
    assert any(line.startswith(said) for line in lines), lines
    return lines


def test_a_training_killed_while_the_network_learns_ends_with_the_same_bytes(both: Any, new_run: MakeRun) -> None:
    run = new_run("network-killed")
    freeze(run, compression=("int8", "pruned", "distilled"))
    for said, victims in (("network: round 1 of", (1,)), ("checkpoint after round 3", (0, 1))):
        launched_until(run, said, victims)
        result = run.result("train")
        lost = victims == (1,)
        assert (result.status, result.error_kind) == ("failed", "lost_rank" if lost else "training")
        assert result.error.startswith("rank 1 died") == lost
    resumed = run.launch("train")
    resumed.ranks.wait()
    assert any(line.startswith("network: resuming after round") for line in resumed.lines)
    assert run.result("train").model_sha256 == both.result("train").model_sha256
    assert files.read_text(f"{run.spec('train').output}/history.json") == files.read_text(
        f"{both.spec('train').output}/history.json"
    )
    assert files.list_files(f"{run.spec('train').output}/checkpoint/network") == []


def test_loss_that_is_not_finite_is_the_same_error_on_all_ranks(new_run: MakeRun) -> None:
    run = new_run("network-diverges")
    freeze(run, (replace(ENGINES[1], learning_rate=1e38, weight_decay=1e3),))  # type: ignore[arg-type]
    launched = run.launch("train")
    launched.ranks.wait()
    result = run.result("train")
    assert (result.status, result.error_kind) == ("failed", "training")
    assert "is not finite in epoch" in result.error
    assert any("is not finite in epoch" in line for line in launched.ranks.tail(1))


def test_two_ranks_start_from_a_version_in_the_lake(both: Any, new_run: MakeRun) -> None:
    run = new_run("warm")
    base = both.result("train")
    frozen = freeze(run, base=Base(version="1", sha256=base.model_sha256, frozen_layers=1))
    download(base.model, Path(run.lake, "models", frozen.use_case, base.model_sha256))
    result = run("train")
    assert result.status == "succeeded", result.error
    old, new = model_of(both), model_of(run)
    assert new.card.members[0].rounds == old.card.members[0].rounds + 30
    histories = [json.loads(files.read_text(f"{r.spec('train').output}/history.json"))["network"] for r in (both, run)]
    assert histories[1][0] > histories[0][0] + 0.05


@pytest.mark.spark
@pytest.mark.parametrize("kind", ["boosting + network", "network", "logistic"])
def test_every_kind_of_model_scores_a_night_in_spark_s_workers(
    both: Any, nights: Nights, tmp_path: Path, kind: str
) -> None:
    whole = model_of(both)
    model = whole if kind == "boosting + network" else alone(both, kind, str(tmp_path / "model"))
    where = both.result("train").model if model is whole else str(tmp_path / "model")
    models.set_champion(register(model, where))
    features = Lake(nights.lake).table(FEATURES).read_nights([NIGHT])
    expected = dict(zip(features["flight"].to_pylist(), model.predict(features), strict=True))
    assert nights.whole().status == "succeeded"
    said = {row["flight"]: row["prediction"] for row in nights.scores()}
    assert said == expected
    assert {row["model_sha256"] for row in nights.scores()} == {model.sha256}


def alone(both: Any, kind: str, uri: str) -> TabularModel:
    """One member of what the run has trained, as a model of its own."""
    of = model_of(both) if kind == "network" else TabularModel.load(baseline_uri(both.spec("train"), LINEAR))
    place = [card.kind for card in of.card.members].index(kind)
    card = replace(of.card, members=(replace(of.card.members[place], weight=1.0),))
    return save(uri, card, [of.members[place]], of.profile)

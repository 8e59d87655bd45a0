"""One rank's boosting: which rounds are kept, with early stopping and without."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from tests.training_sets import METRIC, context, count_labels, training_set

from nightjar.declaration.engines import Boosting
from nightjar.declaration.features import Feature
from nightjar.declaration.rows import Rows
from nightjar.problems.binary.metrics import log_loss
from nightjar.protocol.errors import TrainingError
from nightjar.training.data.shards import Shard
from nightjar.training.engines.boosting import fit as boosting
from nightjar.training.engines.boosting.model import FILE
from nightjar.training.engines.fitted import Fitted
from nightjar.training.ensemble.members import predict_shard

FEATURES = (Feature("signal", "numeric", "Signal."), Feature("noise", "numeric", "Noise."))
TRAINING_SET = training_set(FEATURES)
PARAMS = {"max_depth": 6, "eta": 0.5}
SAMPLED = {**PARAMS, "subsample": 0.6, "colsample_bytree": 0.5, "num_parallel_tree": 3}


def shard(rows: int, seed: int, *, positives: float = 0.5) -> Shard:
    """Labels that follow the first column, weakly; ``positives`` is their share."""
    random = np.random.default_rng(seed)
    matrix = random.normal(size=(rows, 2)).astype(np.float32)
    strength = matrix[:, 0] + 3 * random.normal(size=rows)
    labels = (strength > (0.0 if positives == 0.5 else np.quantile(strength, 1 - positives))).astype(np.float32)
    filled = Shard(columns=2, count_labels=count_labels)
    for part in range(0, rows, 150):
        filled.append(matrix[part : part + 150], labels[part : part + 150])
    return filled


def trained(
    place: Path,
    *,
    early_stopping_rounds: int | None = None,
    num_rounds: int = 60,
    every: int = 25,
    params: Mapping[str, object] = PARAMS,
    metric: str = METRIC,
) -> Fitted:
    engine = Boosting(
        params=params,
        num_rounds=num_rounds,
        early_stopping_rounds=early_stopping_rounds,
        checkpoint_every_rounds=every,
    )
    found = replace(TRAINING_SET, recipe=replace(TRAINING_SET.recipe, decisive_metric=metric))
    return boosting.fit(engine, context(shard(400, 1), shard(400, 2), found, checkpoints=str(place)))


def test_early_stopping_keeps_the_best_round_and_stops_after_its_patience(tmp_path: Path) -> None:
    boosted = trained(tmp_path, early_stopping_rounds=5)
    assert boosted.card.rounds == int(np.argmax(boosted.history)) + 1
    assert len(boosted.history) == boosted.card.rounds + 5 < 60
    assert boosted.card.validation_score == pytest.approx(max(boosted.history))


def test_without_early_stopping_all_rounds_are_kept(tmp_path: Path) -> None:
    boosted = trained(tmp_path, early_stopping_rounds=None)
    assert boosted.card.rounds == len(boosted.history) == 60
    assert boosted.card.validation_score == boosted.history[-1] < max(boosted.history)


def _weighed(weights: tuple[float, ...], half_life_days: float | None) -> np.ndarray:
    """Train on batches with these weights, of which the last has labels that contradict the others."""
    random = np.random.default_rng(3)
    filled = Shard(columns=2, count_labels=count_labels)
    for position, weight in enumerate(weights):
        matrix = random.normal(size=(300, 2)).astype(np.float32)
        follows = matrix[:, 0] > 0
        filled.append(matrix, (follows if position < len(weights) - 1 else ~follows).astype(np.float32), weight)
    found = replace(TRAINING_SET, recipe=replace(TRAINING_SET.recipe, rows=Rows(half_life_days=half_life_days)))
    engine = Boosting(params={"max_depth": 2, "eta": 0.3}, num_rounds=20, early_stopping_rounds=None)
    fitted = boosting.fit(engine, context(filled, shard(400, 2), found))
    return fitted.member.predict(np.array([[1.0, 0.0]], dtype=np.float32), threads=1)


def test_older_rows_weigh_less_when_a_half_life_is_declared() -> None:
    old = 0.5 ** (30 / 5)
    assert _weighed((old, old, 1.0), 5.0)[0] < 0.2, "the newest day decides"
    assert _weighed((old, old, 1.0), None)[0] > 0.6, "without a half-life all rows weigh alike"


def test_weights_are_those_that_xgboost_is_given_directly() -> None:
    import xgboost

    filled = Shard(columns=2, count_labels=count_labels)
    parts = [(matrix, labels) for matrix, labels in shard(450, 5).batches()]
    for (matrix, labels), weight in zip(parts, (0.25, 0.5, 1.0), strict=True):
        filled.append(matrix, labels, weight)
    found = replace(TRAINING_SET, recipe=replace(TRAINING_SET.recipe, rows=Rows(half_life_days=1.0)))
    engine = Boosting(params={"max_depth": 3, "eta": 0.3}, num_rounds=5, early_stopping_rounds=None)
    fitted = boosting.fit(engine, context(filled, shard(400, 2), found))
    rows = np.concatenate([matrix for matrix, _ in parts])
    direct = xgboost.train(
        {"objective": "binary:logistic", "tree_method": "hist", "max_depth": 3, "eta": 0.3, "nthread": 1},
        xgboost.QuantileDMatrix(
            rows, np.concatenate([labels for _, labels in parts]), weight=np.repeat([0.25, 0.5, 1.0], 150), nthread=1
        ),
        5,
    )
    np.testing.assert_allclose(fitted.member.predict(rows, threads=1), direct.inplace_predict(rows), rtol=1e-5)


def model_bytes(boosted: Fitted) -> bytes:
    return boosted.member.content()[FILE]


@pytest.mark.parametrize("params", [PARAMS, SAMPLED])
@pytest.mark.parametrize("rounds", [11, 20, 34])
def test_a_training_that_goes_on_from_a_checkpoint_ends_with_the_same_bytes(
    tmp_path: Path, params: Mapping[str, object], rounds: int
) -> None:
    undisturbed = trained(tmp_path / "a", num_rounds=40, every=10, params=params)
    # the checkpoint of a shorter training stands for one that was killed
    trained(tmp_path / "b", num_rounds=rounds, every=10, params=params)
    resumed = trained(tmp_path / "b", num_rounds=40, every=10, params=params)
    assert model_bytes(resumed) == model_bytes(undisturbed)
    assert resumed.history == undisturbed.history


def test_bins_paged_from_disk_give_the_same_bytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    in_memory = trained(tmp_path / "a", params=SAMPLED)
    monkeypatch.setattr("nightjar.training.data.matrix.MEMORY_SHARE", 0.0)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)  # XGBoost warns when its files go before it has let go of them
        paged = trained(tmp_path / "b", params=SAMPLED)
    assert (in_memory.external_memory, paged.external_memory) == (False, True)
    assert model_bytes(paged) == model_bytes(in_memory)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a", "b"]  # the scratch is gone


def test_early_stopping_by_a_loss_keeps_the_round_with_the_least(tmp_path: Path) -> None:
    boosted = trained(tmp_path, early_stopping_rounds=5, metric="log_loss")
    assert boosted.card.rounds == int(np.argmin(boosted.history)) + 1
    assert len(boosted.history) == boosted.card.rounds + 5 < 60
    assert boosted.card.validation_score == pytest.approx(min(boosted.history))


@pytest.mark.parametrize("weighted", ["balance_classes", "scale_pos_weight"])
def test_a_loss_is_measured_without_the_weight_of_positives(tmp_path: Path, weighted: str) -> None:
    """Weighted odds are far too high for rare positives: their log loss would stop the training early."""
    validation = shard(400, 2, positives=0.1)
    balanced = weighted == "balance_classes"
    recipe = replace(TRAINING_SET.recipe, balance_classes=balanced, decisive_metric="log_loss")
    params = {"max_depth": 2, "eta": 0.1} | ({} if balanced else {"scale_pos_weight": 9.0})
    frozen = replace(TRAINING_SET, recipe=recipe)
    boosted = boosting.fit(
        Boosting(params=params, num_rounds=20), context(shard(400, 1, positives=0.1), validation, frozen)
    )
    labels, outputs = predict_shard(boosted.member, validation, threads=1)
    weight = boosted.card.class_weights[1]
    assert weight == pytest.approx(9.0, rel=0.2)
    unweighted = outputs / (outputs + weight * (1 - outputs))
    assert boosted.card.validation_score == pytest.approx(log_loss(labels, unweighted), abs=1e-6)
    assert boosted.card.validation_score < log_loss(labels, outputs) - 0.1


def test_early_stopping_goes_on_where_it_was(tmp_path: Path) -> None:
    undisturbed = trained(tmp_path / "a", early_stopping_rounds=5, every=3)
    trained(tmp_path / "b", early_stopping_rounds=5, every=3, num_rounds=len(undisturbed.history) - 2)
    resumed = trained(tmp_path / "b", early_stopping_rounds=5, every=3)
    assert (resumed.history, model_bytes(resumed)) == (undisturbed.history, model_bytes(undisturbed))


def test_diverging_loss_is_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    declared = boosting.engine_params  # a declaration refuses such an eta
    monkeypatch.setattr(boosting, "engine_params", lambda *given: {**declared(*given), "eta": 1e38})
    with pytest.raises(TrainingError, match="265 predictions are not finite after round 3") as caught:
        trained(tmp_path, params={"lambda": 0.0, "min_child_weight": 0})
    assert "lower eta" in caught.value.fix

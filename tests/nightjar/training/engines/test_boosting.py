"""One rank's boosting: which rounds are kept, with early stopping and without."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
from tests.training_sets import context, count_labels, training_set

from nightjar.declaration.features import Feature
from nightjar.declaration.training import Boosting
from nightjar.protocol.errors import TrainingError
from nightjar.training.data.shards import Shard
from nightjar.training.engines.boosting import fit as boosting
from nightjar.training.engines.boosting.model import FILE
from nightjar.training.engines.fitted import Fitted

FEATURES = (Feature("signal", "numeric", "Signal."), Feature("noise", "numeric", "Noise."))
TRAINING_SET = training_set(FEATURES)
PARAMS = {"max_depth": 6, "eta": 0.5}
SAMPLED = {**PARAMS, "subsample": 0.6, "colsample_bytree": 0.5, "num_parallel_tree": 3}


def shard(rows: int, seed: int) -> Shard:
    """Labels that follow the first column, weakly."""
    random = np.random.default_rng(seed)
    matrix = random.normal(size=(rows, 2)).astype(np.float32)
    labels = (matrix[:, 0] + 3 * random.normal(size=rows) > 0).astype(np.float32)
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
) -> Fitted:
    engine = Boosting(
        params=params,
        num_rounds=num_rounds,
        early_stopping_rounds=early_stopping_rounds,
        checkpoint_every_rounds=every,
    )
    return boosting.fit(engine, context(shard(400, 1), shard(400, 2), TRAINING_SET, checkpoints=str(place)))


def test_early_stopping_keeps_the_best_round_and_stops_after_its_patience(tmp_path: Path) -> None:
    boosted = trained(tmp_path, early_stopping_rounds=5)
    assert boosted.card.rounds == int(np.argmax(boosted.history)) + 1
    assert len(boosted.history) == boosted.card.rounds + 5 < 60
    assert boosted.card.validation_score == pytest.approx(max(boosted.history))


def test_without_early_stopping_all_rounds_are_kept(tmp_path: Path) -> None:
    boosted = trained(tmp_path, early_stopping_rounds=None)
    assert boosted.card.rounds == len(boosted.history) == 60
    assert boosted.card.validation_score == boosted.history[-1] < max(boosted.history)


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


def test_early_stopping_goes_on_where_it_was(tmp_path: Path) -> None:
    undisturbed = trained(tmp_path / "a", early_stopping_rounds=5, every=3)
    trained(tmp_path / "b", early_stopping_rounds=5, every=3, num_rounds=len(undisturbed.history) - 2)
    resumed = trained(tmp_path / "b", early_stopping_rounds=5, every=3)
    assert (resumed.history, model_bytes(resumed)) == (undisturbed.history, model_bytes(undisturbed))


def test_diverging_loss_is_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    declared = boosting.engine_params  # a declaration refuses such an eta
    monkeypatch.setattr(boosting, "engine_params", lambda engine, seed: {**declared(engine, seed), "eta": 1e38})
    with pytest.raises(TrainingError, match="265 predictions are not finite after round 3") as caught:
        trained(tmp_path, params={"lambda": 0.0, "min_child_weight": 0})
    assert "lower eta" in caught.value.fix

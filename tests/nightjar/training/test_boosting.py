"""One rank's boosting: which rounds are kept, with early stopping and without."""

from __future__ import annotations

import numpy as np
import pytest

from nightjar.contracts.use_case import Feature, Training
from nightjar.training.boosting import Boosted, boost
from nightjar.training.launch import free_port
from nightjar.training.rendezvous import Group, LaunchContract
from nightjar.training.shards import Shard

FEATURES = (Feature("signal", "numeric", "Signal."), Feature("noise", "numeric", "Noise."))


def shard(rows: int, seed: int) -> Shard:
    """Labels that follow the first column, weakly."""
    random = np.random.default_rng(seed)
    matrix = random.normal(size=(rows, 2)).astype(np.float32)
    labels = (matrix[:, 0] + 3 * random.normal(size=rows) > 0).astype(np.float32)
    return Shard(matrix=matrix, labels=labels)


def trained(early_stopping_rounds: int | None) -> Boosted:
    group = Group(
        LaunchContract(rank=0, world_size=1, master_addr="127.0.0.1", master_port=free_port()), "job", timeout_seconds=5
    )
    training = Training(params={"max_depth": 6, "eta": 0.5}, num_rounds=60, early_stopping_rounds=early_stopping_rounds)
    return boost(shard(400, 1), shard(400, 2), FEATURES, training, group=group, threads=1, say=lambda _: None)


def test_early_stopping_keeps_the_best_round_and_stops_after_its_patience() -> None:
    boosted = trained(early_stopping_rounds=5)
    assert boosted.rounds == int(np.argmax(boosted.history)) + 1
    assert len(boosted.history) == boosted.rounds + 5 < 60
    assert boosted.validation_auc == pytest.approx(max(boosted.history))


def test_without_early_stopping_all_rounds_are_kept() -> None:
    boosted = trained(early_stopping_rounds=None)
    assert boosted.rounds == len(boosted.history) == 60
    assert boosted.validation_auc == boosted.history[-1] < max(boosted.history)

"""Compressed models are smaller, predict nearly the same, and are valid members of a model folder."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from tests.nightjar.training.engines.network_rows import SMALL, TRAINING_SET, rows, shard
from tests.training_sets import context

from nightjar.declaration.engines import Boosting
from nightjar.declaration.training import Pruning
from nightjar.problems.binary.metrics import auc
from nightjar.training.compression import compress, int8, pruned, sizes
from nightjar.training.engines import registry
from nightjar.training.engines.fitted import Fitted
from nightjar.training.engines.member import Member
from nightjar.training.engines.network import model as network
from nightjar.training.engines.network.graph import STEP, weights_of
from nightjar.training.engines.onnx_graph import BLOCK
from nightjar.training.ensemble.members import combine

ENGINES = (
    Boosting(params={"max_depth": 7, "eta": 0.02}, num_rounds=120, early_stopping_rounds=None),
    replace(SMALL, hidden=(64, 32), epochs=6),
)


@pytest.fixture(scope="module")
def fitted() -> tuple[Fitted, ...]:
    return tuple(
        registry.ENGINES[engine.kind].fit(engine, context(shard(2400, 1), shard(600, 2), TRAINING_SET))
        for engine in ENGINES
    )


@pytest.fixture(scope="module")
def full(fitted: tuple[Fitted, ...]) -> network.Network:
    member = fitted[1].member
    assert isinstance(member, network.Network)
    return member


def auc_of(member: Member) -> float:
    said = [(labels, member.predict(matrix, threads=1)) for matrix, labels in shard(2000, 4).batches()]
    labels, answers = (np.concatenate(parts) for parts in zip(*said, strict=True))
    return auc(labels.astype(np.float64), answers)


def test_int8_network_is_a_third_of_the_size_and_predicts_nearly_the_same(full: network.Network) -> None:
    small = int8(full)
    matrix = rows(1000, 5)
    assert np.abs(small.predict(matrix, threads=1) - full.predict(matrix, threads=1)).max() < 0.05
    assert auc_of(small) == pytest.approx(auc_of(full), abs=0.01)
    assert len(small.weights) < 0.45 * len(full.weights)
    restored, weights = weights_of(small), weights_of(full)
    assert set(restored) == set(weights)
    assert not any(name.endswith(STEP) for name in restored)
    assert max(np.abs(restored[name] - weights[name]).max() for name in weights) < 0.03


def test_pruned_network_has_half_the_units_and_still_predicts(full: network.Network) -> None:
    small = pruned(full, 0.5)
    assert small.architecture.hidden == (32, 16)
    assert len(small.weights) < 0.5 * len(full.weights)
    assert 0.6 < auc_of(small) <= auc_of(full) + 0.01
    matrix = rows(1000, 5)
    none = pruned(full, share=0.0)
    assert np.abs(none.predict(matrix, threads=1) - full.predict(matrix, threads=1)).max() < 1e-6
    assert pruned(full, share=0.999).architecture.hidden == (1, 1)


@pytest.mark.parametrize("make", [int8, lambda full: pruned(full, 0.5)])
def test_a_smaller_network_is_a_member_like_any_other(full: network.Network, make: object) -> None:
    small: network.Network = make(full)  # type: ignore[operator]
    loaded = network.load(small.content())
    matrix = rows(BLOCK + 40, 6)
    matrix[3, 1] = 1e6  # an outlier, whose row alone it concerns
    whole = loaded.predict(matrix, threads=1)
    assert (whole == small.predict(matrix, threads=2)).all()
    alone = np.concatenate([loaded.predict(matrix[i : i + 1], threads=1) for i in range(40)])
    assert (alone == whole[:40]).all()


def test_each_compression_of_the_recipe_is_made_and_evaluated(fitted: tuple[Fitted, ...]) -> None:
    student = Boosting(params={"max_depth": 3, "eta": 0.3}, num_rounds=40, early_stopping_rounds=None)
    recipe = replace(
        TRAINING_SET.recipe,
        engines=ENGINES,
        compression=("int8", "pruned", "distilled"),
        pruning=Pruning(share=0.75, epochs=3),
        student=student,
    )
    validation = shard(600, 2)
    ensemble = combine(fitted, validation, recipe, threads=1)
    rows_of = context(shard(2400, 1), validation, replace(TRAINING_SET, recipe=recipe))
    found = compress(fitted, ensemble, rows_of)
    assert [small.name for small in found] == ["int8", "pruned", "distilled"]
    whole = sum(sizes(tuple(trained.member for trained in fitted)).values())
    for small in found:
        assert sum(sizes(tuple(trained.member for trained in small.members)).values()) < whole
        assert small.ensemble.validation_score > ensemble.validation_score - 0.06
        assert small.rows_per_second > 0 < small.full_rows_per_second
        assert small.cards[-1].params["compression"] == small.name
    _, cut, taught = found
    assert [card.kind for card in taught.cards] == ["boosting"]
    assert (taught.cards[0].rounds, taught.cards[0].params["num_rounds"]) == (40, 40)
    assert (taught.cards[0].params["max_depth"], taught.cards[0].params["eta"]) == (3, 0.3)
    matrix = rows(1000, 5)
    answers = taught.members[0].member.predict(matrix, threads=1)
    teacher = np.mean([trained.member.predict(matrix, threads=1) for trained in fitted], axis=0)
    assert np.corrcoef(answers, teacher)[0, 1] > 0.9
    tuned = cut.members[1].member
    assert isinstance(tuned, network.Network)
    assert tuned.architecture.hidden == (16, 8)
    assert cut.cards[1].params["hidden"] == [16, 8], "the card says what the network is"
    untuned = pruned(fitted[1].member, 0.75)  # type: ignore[arg-type]
    assert auc_of(tuned) > auc_of(untuned) + 0.01
    assert auc_of(tuned) == pytest.approx(auc_of(fitted[1].member), abs=0.03)

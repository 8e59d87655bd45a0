"""Two towers: a preference of pairs, the loss, batches of whole groups, and equal scores in torch and ONNX."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pyarrow as pa
import pytest
import torch
from tests.training_sets import context, training_set

from nightjar.declaration.engines import Boosting, TwoTower
from nightjar.declaration.features import Feature
from nightjar.declaration.ranking import Ranking
from nightjar.problems.arrays import group_ids
from nightjar.problems.binary.calibration import Calibrator
from nightjar.problems.registry import problem_type
from nightjar.protocol.errors import ModelError, TrainingError
from nightjar.training.data.shards import Shard
from nightjar.training.data.training_set import TrainingSet
from nightjar.training.engines.boosting import fit as boosting
from nightjar.training.engines.context import TrainingContext
from nightjar.training.engines.fitted import Fitted
from nightjar.training.engines.network.module import copied_weights
from nightjar.training.engines.onnx_graph import BLOCK
from nightjar.training.engines.registry import ENGINES
from nightjar.training.engines.two_tower import engine
from nightjar.training.engines.two_tower.groups import epoch, listwise_loss
from nightjar.training.engines.two_tower.model import FILE, load
from nightjar.training.engines.two_tower.towers import build_graph, build_module, towers_of
from nightjar.training.ensemble.members import combine
from nightjar.training.model import LOADERS, ModelCard, TabularModel, save

RANKING = Ranking(group=("customer",), item=("product",), k=3, popularity="sold", last_seen="price")
OF_TYPE = problem_type(RANKING)
FEATURES = (
    Feature("taste", "categorical", "Taste of the customer."),
    Feature("budget", "numeric", "Budget of the customer."),
    Feature("flavour", "categorical", "Flavour of the product."),
    Feature("price", "numeric", "Price of the product."),
    Feature("sold", "numeric", "Number sold lately."),
)
CATEGORIES = {"taste": ("sweet", "sour", "salty"), "flavour": ("sweet", "sour", "salty")}
TOWERS = TwoTower(
    group_features=("taste", "budget"), item_features=("flavour", "price"), width=16, depth=1, vector_width=8,
    embedding_width=4, dropout=0.0, learning_rate=0.01, batch_size=200, epochs=12,
)  # fmt: skip
ITEMS = 12


def day(groups: int, random: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Twelve products for each customer: relevant are those of the customer's taste and near the customer's budget.

    Neither customer nor product alone tells what is relevant.
    """
    taste = np.repeat(random.integers(0, 3, groups), ITEMS)
    budget = np.repeat(random.choice([-1.0, 1.0], groups), ITEMS)
    flavour, price = random.integers(0, 3, groups * ITEMS), random.normal(size=groups * ITEMS)
    utility = 2.0 * (taste == flavour) + budget * price
    relevance = np.digitize(utility, [2.0, 3.0]).astype(float)
    sold = random.normal(size=len(price))
    matrix = np.stack([taste, budget, flavour, price, sold], axis=1).astype(np.float32)
    matrix[random.random(matrix.shape) < 0.02] = np.nan
    is_first = (np.arange(len(price)) % ITEMS == 0).astype(float)
    item = np.zeros((len(price), 2))
    return matrix, np.column_stack([relevance, is_first, item]).astype(np.float32)


def shard(days: int, seed: int, groups: int = 60) -> Shard:
    random = np.random.default_rng(seed)
    filled = Shard(columns=len(FEATURES), count_labels=OF_TYPE.count_labels)
    for _ in range(days):
        filled.append(*day(groups, random))
    return filled


def frozen() -> TrainingSet:
    found = training_set(FEATURES, CATEGORIES)
    return replace(found, recipe=replace(found.recipe, problem=RANKING, decisive_metric="ndcg", calibration="none"))


def context_of(train: Shard | None = None) -> TrainingContext:
    return context(train or shard(8, 1), shard(3, 2), frozen())


@pytest.fixture(scope="module")
def fitted() -> Fitted:
    return engine.fit(TOWERS, context_of())


def test_towers_learn_a_preference_of_pairs_that_no_order_of_products_has(fitted: Fitted) -> None:
    matrix, labels = day(200, np.random.default_rng(3))
    learned = OF_TYPE.measure(labels, fitted.member.predict(matrix, threads=1))
    only_products = replace(TOWERS, group_features=("sold",))
    same_for_all = engine.fit(only_products, context_of()).member.predict(matrix, threads=1)
    assert learned["ndcg"] > 0.9 > OF_TYPE.measure(labels, same_for_all)["ndcg"] + 0.15


def test_the_history_is_the_gates_metric_and_the_best_epoch_is_kept(fitted: Fitted) -> None:
    assert fitted.card.validation_score == max(fitted.history)
    assert fitted.card.rounds == int(np.argmax(fitted.history)) + 1
    matrix, labels = map(np.concatenate, zip(*shard(3, 2).batches(), strict=True))
    of_best = OF_TYPE.measure(labels, fitted.member.predict(matrix, threads=1))["ndcg"]
    assert of_best == pytest.approx(fitted.card.validation_score, abs=1e-6)
    hasty = replace(TOWERS, learning_rate=0.3, epochs=60, early_stopping_epochs=2)
    stopped = engine.fit(hasty, context_of())
    assert len(stopped.history) == stopped.card.rounds + 2 < 60


def test_a_loaded_member_scores_the_same_alone_and_for_any_threads(fitted: Fitted) -> None:
    content = fitted.member.content()
    loaded = LOADERS["two_tower"](content)
    assert loaded.content() == content
    matrix, _ = day(3 * BLOCK // ITEMS + 2, np.random.default_rng(4))
    whole = fitted.member.predict(matrix, threads=1)
    assert (loaded.predict(matrix, threads=3) == whole).all()
    alone = np.concatenate([loaded.predict(matrix[i : i + 1], threads=1) for i in range(30)])
    assert (alone == whole[:30]).all()
    assert whole.std() > 0.1


def test_the_same_seed_gives_the_same_bytes_and_another_gives_others(fitted: Fitted) -> None:
    assert engine.fit(TOWERS, context_of()).member.content() == fitted.member.content()
    given = context_of()
    other = replace(given.training_set, recipe=replace(given.training_set.recipe, seed=7))
    assert engine.fit(TOWERS, replace(given, training_set=other)).member.content() != fitted.member.content()


def test_the_graph_scores_like_torch() -> None:
    given = replace(TOWERS, group_features=("budget", "price"), item_features=("flavour",), depth=2)
    towers = towers_of(given, frozen(), shard(2, 5))
    torch.manual_seed(1)
    module = build_module(towers, dropout=0.5)
    matrix, _ = day(50, np.random.default_rng(6))
    matrix[0] = np.nan
    matrix[1, 1] = np.inf
    with torch.inference_mode():
        expected = module.eval()(torch.from_numpy(matrix)).numpy()
    member = load({FILE: build_graph(towers, copied_weights(module))})
    assert np.abs(member.predict(matrix, threads=1) - expected).max() < 1e-6
    assert expected.std() > 0.03


def test_a_graph_with_another_operation_is_refused(fitted: Fitted) -> None:
    graph = onnx.load_from_string(fitted.member.content()[FILE])
    assert "ReduceSum" in {node.op_type for node in graph.graph.node}
    graph.graph.node[-1].op_type = "Pow"
    with pytest.raises(ModelError, match="the operation 'Pow'"):
        load({FILE: graph.SerializeToString()})


def test_the_loss_is_the_mean_cross_entropy_of_groups() -> None:
    random = np.random.default_rng(7)
    sizes = (3, 1, 6)
    groups = np.repeat(np.arange(3), sizes)
    scores = torch.tensor(100 * random.normal(size=10), requires_grad=True)
    gains = torch.tensor(random.integers(0, 4, 10) + (np.arange(10) % 3 == 0), dtype=torch.float64)
    loss = listwise_loss(scores, gains, torch.from_numpy(groups))
    parts = [
        torch.nn.functional.cross_entropy(scores[groups == g], gains[groups == g] / gains[groups == g].sum())
        for g in range(3)
    ]
    expected = torch.stack(parts).mean()
    assert loss.item() == pytest.approx(expected.item(), rel=1e-12)
    (of_loss,), (of_expected,) = (torch.autograd.grad(value, scores) for value in (loss, expected))
    assert torch.allclose(of_loss, of_expected, atol=1e-12)


@pytest.mark.parametrize("rows", [1, 40, 10_000])
def test_an_epoch_has_each_group_with_a_relevant_item_once_and_whole(rows: int) -> None:
    random = np.random.default_rng(8)
    filled = Shard(columns=1, count_labels=OF_TYPE.count_labels)
    expected, number = {}, 0
    for _ in range(5):
        sizes = random.integers(1, 9, 12)
        relevance = random.integers(0, 4, sizes.sum()) * np.repeat(random.random(12) < 0.7, sizes)
        labels = np.column_stack([relevance, np.concatenate([np.eye(1, n)[0] for n in sizes])]).astype(np.float32)
        ids = group_ids(labels) + number
        filled.append(ids[:, None].astype(np.float32), labels)
        expected |= {i: (2.0 ** relevance[ids == i] - 1).tolist() for i in set(ids) if relevance[ids == i].any()}
        number += 12
    batches = list(epoch(filled, rows=rows, seed=[1, 2]))
    seen: dict[int, list[float]] = {}
    for batch in batches:
        assert batch.groups[0] == 0
        assert set(np.diff(batch.groups)) <= {0, 1}
        for group in range(batch.groups[-1] + 1):
            of_group = batch.groups == group
            (found,) = set(batch.matrix[of_group, 0].astype(int))
            assert found not in seen
            seen[found] = batch.gains[of_group].tolist()
        assert len(batch.groups) < rows + 8
    assert seen == expected
    assert list(seen) != list(expected), "not shuffled"
    again, other = (list(epoch(filled, rows=rows, seed=seed)) for seed in ([1, 2], [1, 3]))
    assert all((a.matrix == b.matrix).all() for a, b in zip(batches, again, strict=True))
    first = [np.concatenate([batch.matrix for batch in found]) for found in (batches, other)]
    assert (first[0] != first[1]).any()


def test_an_ensemble_with_boosted_trees_counts_both_alike(fitted: Fitted) -> None:
    given = context_of()
    trees = boosting.fit(Boosting(params={"max_depth": 3, "eta": 0.3}, num_rounds=20), given)
    ensemble = combine([trees, fitted], given.validation, given.training_set.recipe, threads=1)
    (labels, trees_of), (_, towers_of_rows) = (
        (np.concatenate(parts[0]), np.concatenate(parts[1]))
        for parts in (
            tuple(zip(*((y, member.predict(x, threads=1)) for x, y in given.validation.batches()), strict=True))
            for member in (trees.member, fitted.member)
        )
    )
    groups = group_ids(labels)
    deviations = [
        np.concatenate([scores[groups == g] - scores[groups == g].mean() for g in range(groups[-1] + 1)]).std()
        for scores in (trees_of, towers_of_rows)
    ]
    assert ensemble.weights[0] * deviations[0] == pytest.approx(ensemble.weights[1] * deviations[1], rel=1e-9)
    assert sum(ensemble.weights) == pytest.approx(1)
    single = OF_TYPE.measure(labels, trees_of)["ndcg"]
    assert ensemble.validation_score > single - 0.02


def test_a_saved_ensemble_scores_the_same_from_its_folder(fitted: Fitted, tmp_path: Path) -> None:
    given = context_of()
    trees = boosting.fit(Boosting(params={"max_depth": 3}, num_rounds=5), given)
    weights = combine([trees, fitted], given.validation, given.training_set.recipe, threads=1).weights
    members = tuple(
        replace(member.card, weight=weight) for member, weight in zip((trees, fitted), weights, strict=True)
    )
    card = ModelCard(
        use_case="test", features=FEATURES, categories=CATEGORIES, label="Relevance.", prediction="Score.",
        problem=RANKING, members=members, calibrator=Calibrator(), seed=1, world_size=1, validation_metric="ndcg",
        validation_score=0.9, tables={},
    )  # fmt: skip
    saved = save(f"{tmp_path}/model", card, [trees.member, fitted.member], "{}")
    loaded = TabularModel.load(f"{tmp_path}/model", sha256=saved.sha256)
    rows = pa.table({
        "taste": ["sweet", "salty", None, "bitter"], "budget": [1.0, -1.0, 0.0, None],
        "flavour": ["sweet", "sour", "sour", None], "price": [0.5, None, -2.0, 1e300], "sold": [1, 2, 3, 4],
    })  # fmt: skip
    scores = saved.predict(rows)
    assert (loaded.predict(rows, threads=2) == scores).all()
    assert (loaded.predict(rows.slice(2, 1)) == scores[2:3]).all()
    assert np.isfinite(scores).all()
    assert loaded.predict(rows.slice(0, 0)).shape == (0,)
    loaded.check(rows.schema, RANKING)


def test_constant_members_count_alike() -> None:
    labels = day(3, np.random.default_rng(9))[1]
    flat = np.zeros(len(labels))
    assert OF_TYPE.fit_weights(labels, [flat, flat], lambda sums: sums) == (0.5, 0.5)
    assert OF_TYPE.fit_weights(labels, [flat, np.arange(36.0)], lambda sums: sums) == (0.0, 1.0)


def test_a_diverging_training_is_reported() -> None:
    with pytest.raises(TrainingError, match="predictions are not finite after epoch"):
        engine.fit(replace(TOWERS, learning_rate=1e20), context_of())


def test_two_towers_are_trained_from_the_start(fitted: Fitted) -> None:
    found: Any = ENGINES["two_tower"]
    assert found.obstacle(TOWERS, fitted.card, fitted.member)
    assert found.for_columns(TOWERS, ["a"], ["b"]) is TOWERS
    assert fitted.card.params["item_features"] == ["flavour", "price"]

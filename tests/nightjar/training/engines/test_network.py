"""Networks of one rank: training, best epoch, resuming, and equal predictions in torch and ONNX."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from tests.nightjar.training.engines.network_rows import FEATURES, SMALL, TRAINING_SET, rows, shard
from tests.training_sets import context, count_labels, training_set

from nightjar.declaration.engines import Boosting, Network
from nightjar.protocol.errors import ConfigurationError, StorageFullError, TrainingError
from nightjar.training.data.shards import Shard
from nightjar.training.distributed.checkpoint import Checkpoint, Checkpoints
from nightjar.training.distributed.memory import out_of_memory
from nightjar.training.distributed.progress import Report
from nightjar.training.engines.boosting import fit as boosting
from nightjar.training.engines.fitted import Fitted
from nightjar.training.engines.network import fit as network_fit
from nightjar.training.engines.network import model as network
from nightjar.training.engines.network import rows as network_rows
from nightjar.training.engines.network.graph import member_of, weights_of
from nightjar.training.engines.network.module import build_module, put_weights
from nightjar.training.engines.onnx_graph import BLOCK


def trained(
    place: Path,
    engine: Network = SMALL,
    *,
    report: Report = lambda *_: None,
    train: Shard | None = None,
    balance: bool = False,
) -> Fitted:
    recipe = replace(TRAINING_SET.recipe, balance_classes=balance)
    found = replace(TRAINING_SET, recipe=recipe)
    rows_of = context(train or shard(1200, 1), shard(600, 2), found, checkpoints=str(place), report=report)
    return network_fit.fit(engine, rows_of)


@pytest.fixture(scope="module")
def fitted(tmp_path_factory: pytest.TempPathFactory) -> Fitted:
    return trained(tmp_path_factory.mktemp("undisturbed"))


def member(fitted: Fitted) -> network.Network:
    assert isinstance(fitted.member, network.Network)
    return fitted.member


def test_network_learns_a_nonlinear_function_and_keeps_its_best_epoch(fitted: Fitted) -> None:
    assert fitted.card.validation_score == max(fitted.history) > 0.7
    assert fitted.card.rounds == int(np.argmax(fitted.history)) + 1
    from nightjar.problems.binary.metrics import auc

    validation = shard(600, 2)
    labels, answers = zip(*((y, fitted.member.predict(x, threads=1)) for x, y in validation.batches()), strict=True)
    found = auc(np.concatenate(labels).astype(np.float64), np.concatenate(answers))
    assert found == pytest.approx(fitted.card.validation_score, abs=1e-4)


def test_training_stops_after_its_patience(tmp_path: Path) -> None:
    stopped = trained(tmp_path, replace(SMALL, epochs=60, learning_rate=0.05, early_stopping_epochs=3))
    assert len(stopped.history) == stopped.card.rounds + 3 < 60


def test_onnx_graph_predicts_like_torch(fitted: Fitted) -> None:
    of_graph = member(fitted)
    module = build_module(of_graph.architecture, dropout=0.1)
    put_weights(module, weights_of(of_graph))
    matrix = rows(1000, 5)
    matrix[0] = np.nan
    matrix[1, 1] = np.inf
    with torch.inference_mode():
        expected = torch.sigmoid(module.eval()(torch.from_numpy(matrix))).numpy()
    assert np.abs(of_graph.predict(matrix, threads=1) - expected).max() < 1e-5
    assert expected.std() > 0.05


def test_prediction_of_a_row_is_independent_of_other_rows_and_threads(fitted: Fitted) -> None:
    matrix = rows(3 * BLOCK + 17, 6)
    whole = fitted.member.predict(matrix, threads=1)
    assert whole.dtype == np.float64
    assert ((whole > 0) & (whole < 1)).all()
    assert (fitted.member.predict(matrix, threads=3) == whole).all()
    alone = np.concatenate([fitted.member.predict(matrix[i : i + 1], threads=1) for i in range(50)])
    assert (alone == whole[:50]).all()
    assert (fitted.member.predict(matrix[17:516], threads=1) == whole[17:516]).all()
    assert fitted.member.predict(matrix[:0], threads=1).shape == (0,)


def test_loaded_member_predicts_the_same_and_its_graph_is_rebuilt_byte_for_byte(fitted: Fitted) -> None:
    content = fitted.member.content()
    loaded = network.load(content)
    matrix = rows(100, 7)
    assert (loaded.predict(matrix, threads=1) == fitted.member.predict(matrix, threads=1)).all()
    assert member_of(loaded.architecture, weights_of(loaded)).content() == content


class _Killed(Exception):
    """Stands for a kill: nothing of the library catches it."""


def killed_after(epoch: int) -> Report:
    def report(done: int, _: object) -> None:
        if done == epoch:
            raise _Killed

    return report


@pytest.mark.parametrize(("every", "killed"), [(1, 2), (1, 7), (3, 5)])
def test_a_training_that_goes_on_from_a_checkpoint_ends_with_the_same_bytes(
    fitted: Fitted, tmp_path: Path, every: int, killed: int
) -> None:
    engine = replace(SMALL, checkpoint_every_epochs=every)
    with pytest.raises(_Killed):
        trained(tmp_path, engine, report=killed_after(killed))
    done: list[int] = []
    resumed = trained(tmp_path, engine, report=lambda number, _: done.append(number))
    assert done[0] == (killed - 1) // every * every + 1  # the epoch that was killed had kept nothing yet
    assert resumed.history == fitted.history
    assert resumed.member.content() == fitted.member.content()


def test_another_seed_gives_another_network(fitted: Fitted, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    other = replace(TRAINING_SET, recipe=replace(TRAINING_SET.recipe, seed=7))
    monkeypatch.setattr(sys.modules[__name__], "TRAINING_SET", other)
    assert trained(tmp_path).member.content() != fitted.member.content()


def test_loss_that_is_not_finite_is_reported_with_rank_and_epoch(tmp_path: Path) -> None:
    with pytest.raises(
        TrainingError, match=r"the loss of rank 0 is not finite in epoch \d, from step \d+ of 18"
    ) as said:
        trained(tmp_path, replace(SMALL, learning_rate=1e38, weight_decay=1e3))
    assert "lower learning_rate" in said.value.fix


def test_an_infinite_value_does_not_pass_for_a_moment(tmp_path: Path) -> None:
    with_infinity = shard(300, 1)
    matrix = rows(100, 3)
    matrix[5, 1] = np.inf
    with_infinity.append(matrix, np.zeros(100, np.float32))
    with pytest.raises(TrainingError, match=r"the loss of rank 0 is not finite in epoch 1"):
        trained(tmp_path, train=with_infinity)


def test_a_checkpoint_that_cannot_be_kept_ends_the_training(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    full = StorageFullError("no space left", where="here", fix="make room")

    def save(self: Checkpoints, checkpoint: Checkpoint) -> None:
        raise full

    monkeypatch.setattr(Checkpoints, "save", save)
    with pytest.raises(StorageFullError):
        trained(tmp_path)


def test_gpu_out_of_memory_is_reported_with_a_fix() -> None:
    training_error = TrainingError("the network's training failed", where="here", fix="read the log")
    training_error.__cause__ = torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")
    said = out_of_memory(training_error, 3)
    assert said is not None
    assert said.what.startswith("rank 3 ran out of GPU memory (CUDA out of memory. Tried to allocate 2.00 GiB")
    assert "lower batch_size" in said.fix


def test_balanced_classes_raise_predictions_of_both_engines(tmp_path: Path) -> None:
    few = shard(1200, 1, positives=-2.0)
    weight = (few.rows - few.labels["positives"]) / few.labels["positives"]
    plain, balanced = (trained(tmp_path / str(balance), train=few, balance=balance) for balance in (False, True))
    matrix = rows(500, 9)
    answers = [fitted.member.predict(matrix, threads=1).mean() for fitted in (plain, balanced)]
    assert balanced.card.params["pos_weight"] == pytest.approx(weight)
    assert answers[1] > answers[0] + 0.15
    recipe = replace(TRAINING_SET.recipe, balance_classes=True)
    boosted = boosting.fit(Boosting(num_rounds=10), context(few, shard(600, 2), replace(TRAINING_SET, recipe=recipe)))
    assert boosted.card.params["scale_pos_weight"] == pytest.approx(weight)
    assert boosted.member.predict(matrix, threads=1).mean() > answers[0] + 0.15


def test_features_of_one_kind_are_enough(tmp_path: Path) -> None:
    for kinds in ([0, 2], [1, 3]):
        of_kind = Shard(columns=2, count_labels=count_labels)
        for matrix, labels in shard(600, 1).batches():
            of_kind.append(np.ascontiguousarray(matrix[:, kinds]), labels)
        features = tuple(FEATURES[i] for i in kinds)
        of_features = training_set(features, TRAINING_SET.categories)
        found = network_fit.fit(replace(SMALL, epochs=2), context(of_kind, of_kind, of_features))
        answers = found.member.predict(rows(50, 1)[:, kinds], threads=1)
        assert len(set(answers.tolist())) > 5


def test_each_epoch_reads_every_row_once_in_another_order(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(network_rows, "BUFFER_ROWS", 250)
    numbered = Shard(columns=1, count_labels=count_labels)
    for start in range(0, 1000, 100):
        numbered.append(np.arange(start, start + 100, dtype=np.float32)[:, None], np.zeros(100, np.float32))

    def read(epoch: int) -> list[list[float]]:
        return [
            matrix[:, 0].tolist() for matrix, *_ in network_rows.epoch(numbered, rows=64, steps=15, seed=[1, epoch])
        ]

    first, again, second = read(0), read(0), read(1)
    assert first == again != second
    assert {len(step) for step in first} == {64}
    seen = [value for step in first for value in step]
    assert len(seen) == len(set(seen)) == 15 * 64
    assert len({value // 100 for value in first[0]}) == 3  # a step mixes the days of a buffer


@pytest.mark.parametrize(
    "call", [lambda engine: network_fit.library_version(), lambda engine: trained(Path("unused"), engine)]
)
def test_without_torch_the_error_says_what_to_do(
    monkeypatch: pytest.MonkeyPatch, call: Callable[[Network], object]
) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(ConfigurationError, match="a network cannot be trained without torch") as said:
        call(SMALL)
    assert "make setup-dev" in said.value.fix

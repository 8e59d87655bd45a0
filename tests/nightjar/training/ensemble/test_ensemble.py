"""Fitted weights recover those of a known mixture on any number of ranks; no ensemble is worse than its best member."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.training_sets import count_labels

from nightjar.declaration.problem import Binary
from nightjar.declaration.use_case import load_use_case
from nightjar.problems.binary.metrics import log_loss
from nightjar.problems.binary.problem import BinaryProblem
from nightjar.problems.blending import weighted_mean
from nightjar.problems.mixture import MAX_LEFT_OUT_COST, MIN_WEIGHT
from nightjar.protocol.documents import load_values
from nightjar.training.data.shards import Shard
from nightjar.training.distributed.collective import sum_over_ranks
from nightjar.training.distributed.launch import free_port
from nightjar.training.engines.fitted import Fitted
from nightjar.training.engines.member import MemberCard
from nightjar.training.ensemble.members import combine
from nightjar.training.recipe import Recipe

PROBLEM = BinaryProblem(Binary())
RECIPE = replace(Recipe.of(load_use_case("flight_delay")), calibration="best", decisive_metric="auc")
DAYS = 7


@dataclass(frozen=True)
class Says:
    """A member that answers with one column."""

    column: int

    def predict(self, matrix: np.ndarray, *, threads: int) -> np.ndarray:
        return matrix[:, self.column].astype(np.float64)

    def content(self) -> dict[str, bytes]:
        return {}


def fitted(member: Any, class_weights: tuple[float, ...] = ()) -> Fitted:
    """A member as an engine gives it back."""
    card = MemberCard(
        name="says", kind="says", engine="", params={}, rounds=0, validation_score=0.5, class_weights=class_weights
    )
    return Fitted(member=member, card=card, history=(), external_memory=False, device="cpu")


SAYS = (fitted(Says(0)), fitted(Says(1)))


def mixture(weights: tuple[float, ...], rows: int = 60_000, seed: int = 1) -> tuple[np.ndarray, list[np.ndarray]]:
    """Labels of which each member is right in its share of the rows."""
    rng = np.random.default_rng(seed)
    answers = [rng.beta(0.5, 1.0, rows).clip(0.01, 0.99) for _ in weights]
    labels = (rng.random(rows) < weighted_mean(answers, weights)).astype(np.float32)
    return labels, answers


def fit_weights(labels: np.ndarray, answers: list[np.ndarray]) -> tuple[float, ...]:
    """The weights that a single rank fits."""
    return PROBLEM.fit_weights(labels, answers, sum_over_ranks)


def shards(world_size: int) -> list[Shard]:
    """Seven days of rows with two members' answers for columns, as ranks hold them: every ``world_size``-th."""
    labels, answers = mixture((0.7, 0.3), rows=DAYS * 500)
    matrix = np.stack(answers, axis=1).astype(np.float32)
    made = [Shard(columns=2, count_labels=count_labels) for _ in range(world_size)]
    for day in range(DAYS):
        part = slice(day * 500, (day + 1) * 500)
        made[day % world_size].append(matrix[part], labels[part])
    return made


@pytest.mark.parametrize("weights", [(0.7, 0.3), (0.5, 0.3, 0.2)])
def test_the_weights_of_a_known_mixture_are_found(weights: tuple[float, ...]) -> None:
    found = fit_weights(*mixture(weights))
    assert sum(found) == pytest.approx(1, abs=1e-12)
    np.testing.assert_allclose(found, weights, atol=0.03)


def test_useless_member_gets_weight_0() -> None:
    labels, (good, _) = mixture((1.0, 0.0))
    noise = np.random.default_rng(3).random(len(labels))
    assert fit_weights(labels, [noise, good]) == (0.0, 1.0)


def test_a_small_share_that_matters_is_kept() -> None:
    labels, (good, _) = mixture((1.0, 0.0))
    bold = np.where(np.arange(len(good)) % 5000 == 0, np.where(labels == 1, 1e-9, 1 - 1e-9), good)
    weights = fit_weights(labels, [bold, np.full(len(good), 0.5)])
    assert 0 < weights[1] < MIN_WEIGHT
    assert log_loss(labels, weighted_mean([bold, np.full(len(good), 0.5)], weights)) < log_loss(labels, bold) - 0.002


def test_single_member_has_weight_1() -> None:
    assert fit_weights(np.empty(0, np.float32), [np.empty(0)]) == (1.0,)


@given(seed=st.integers(0, 2**32 - 1), members=st.integers(2, 4), rows=st.integers(1, 300))
@settings(max_examples=40)
def test_the_mean_is_never_worse_than_its_best_member(seed: int, members: int, rows: int) -> None:
    rng = np.random.default_rng(seed)
    labels = (rng.random(rows) < 0.3).astype(np.float32)
    answers = [np.clip(rng.beta(0.5, 0.5, rows), 1e-9, 1 - 1e-9) for _ in range(members)]
    weights = fit_weights(labels, answers)
    assert min(weights) >= 0
    assert sum(weights) == pytest.approx(1, abs=1e-12)
    best = min(log_loss(labels, said) for said in answers)
    assert log_loss(labels, weighted_mean(answers, weights)) <= best + MAX_LEFT_OUT_COST + 1e-4


def open_to_other_machines() -> list[int]:
    """Ports of this process that listen at all addresses, through any device."""
    found = []
    for descriptor in map(int, os.listdir("/proc/self/fd")):
        try:
            listener = socket.socket(fileno=os.dup(descriptor))
        except OSError:
            continue
        with listener:
            if listener.family == socket.AF_INET and listener.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
                address, port = listener.getsockname()
                device = listener.getsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, 16).rstrip(b"\0")
                if not address.startswith("127.") and device != b"lo":
                    found.append(port)
    return found


RANK = """
import json, sys
from dataclasses import asdict
from nightjar.training.distributed.collective import collective
from nightjar.training.ensemble.members import combine
from nightjar.training.distributed.rendezvous import Group, LaunchContract
from tests.nightjar.training.ensemble.test_ensemble import RECIPE, SAYS, open_to_other_machines, shards

rank, world_size, port = map(int, sys.argv[1:])
contract = LaunchContract(rank=rank, world_size=world_size, master_addr="127.0.0.1", master_port=port)
group = Group(contract, "job", timeout_seconds=60)
with collective(group):
    made = combine(SAYS, shards(world_size)[rank], RECIPE, threads=1)
    ports = open_to_other_machines()
found = {"weights": made.weights, "auc": made.validation_score, "calibrator": asdict(made.calibrator)}
print(json.dumps({"ports": ports, **found}))
group.close()
"""


def _on_ranks(world_size: int) -> list[dict[str, Any]]:
    """Return the results of real rank processes."""
    port = str(free_port())
    ranks = [
        subprocess.Popen(
            [sys.executable, "-c", RANK, str(rank), str(world_size), port], stdout=subprocess.PIPE, text=True
        )
        for rank in range(world_size)
    ]
    said = [rank.communicate(timeout=120)[0] for rank in ranks]
    assert [rank.returncode for rank in ranks] == [0] * world_size
    return [json.loads(text.splitlines()[-1]) for text in said]


@pytest.mark.e2e
def test_any_number_of_ranks_comes_to_the_same(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    alone = combine(SAYS, shards(1)[0], RECIPE, threads=1)
    assert caplog.messages[0].startswith(f"calibration of the full model: {alone.calibrator.method} (loss")
    several = _on_ranks(3)
    assert several[0] == several[1] == several[2]
    assert several[0]["ports"] == []
    assert several[0]["weights"] == pytest.approx(alone.weights, abs=1e-9)
    assert several[0]["auc"] == pytest.approx(alone.validation_score, abs=1e-12)
    calibrator = several[0]["calibrator"]
    assert calibrator["method"] == alone.calibrator.method
    grid = np.linspace(0, 1, 50)
    np.testing.assert_allclose(
        load_values(type(alone.calibrator), calibrator).apply(grid), alone.calibrator.apply(grid), atol=1e-9
    )


def test_members_that_were_trained_on_weighted_events_weigh_as_if_they_had_not_been() -> None:
    """Answers with odds five times too large: weights, and log loss before any calibration, are as of plain ones."""
    plain, recipe = shards(1)[0], replace(RECIPE, calibration="none")
    expected = combine(SAYS, plain, recipe, threads=1)
    weighted = Shard(columns=2, count_labels=count_labels)
    for matrix, labels in plain.batches():
        odds = 5 * matrix / (1 - matrix)
        weighted.append((odds / (1 + odds)).astype(np.float32), labels)
    found = combine((fitted(Says(0), (1.0, 5.0)), fitted(Says(1), (1.0, 5.0))), weighted, recipe, threads=1)
    assert found.weights == pytest.approx(expected.weights, abs=1e-3)
    np.testing.assert_allclose(found.outputs, expected.outputs, atol=1e-4)
    labels = np.concatenate([of_day for _, of_day in plain.batches()]).astype(np.float64)
    untouched = combine(SAYS, weighted, recipe, threads=1)
    assert log_loss(labels, found.outputs) < log_loss(labels, untouched.outputs) - 0.1

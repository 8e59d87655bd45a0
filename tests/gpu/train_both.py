"""Train both engines on the devices that this process sees: ``python -m tests.gpu.train_both``; one line of JSON."""

from __future__ import annotations

import json

import numpy as np
from tests.training_sets import METRIC, count_labels, training_set

from nightjar.declaration.engines import Boosting, Network
from nightjar.declaration.features import Feature
from nightjar.declaration.problem import Binary
from nightjar.training.data.shards import Shard
from nightjar.training.distributed.launch import free_port
from nightjar.training.distributed.progress import Progress
from nightjar.training.distributed.rendezvous import Group, LaunchContract
from nightjar.training.engines import registry
from nightjar.training.engines.context import TrainingContext

NUMBERS = 6
FEATURES = (
    Feature("carrier", "categorical", "Carrier."),
    *(Feature(f"number_{i}", "numeric", "Number.") for i in range(NUMBERS)),
)
ENGINES = (
    Boosting(params={"max_depth": 5, "eta": 0.1}, num_rounds=80),
    Network(hidden=(64, 32), batch_size=512, epochs=8, learning_rate=5e-3),
)


def shard(rows: int, seed: int) -> Shard:
    """Labels that follow the category, and how far two numbers are from zero; a twentieth is missing."""
    random = np.random.default_rng(seed)
    carriers = random.integers(0, 12, rows)
    numbers = random.normal(size=(rows, NUMBERS))
    strength = 2 * np.abs(numbers[:, 0]) + numbers[:, 1] * numbers[:, 2] + (carriers % 3) - 3
    labels = (random.random(rows) < 1 / (1 + np.exp(-strength))).astype(np.float32)
    matrix = np.column_stack([carriers, numbers]).astype(np.float32)
    matrix[random.random(matrix.shape) < 0.05] = np.nan
    filled = Shard(columns=1 + NUMBERS, count_labels=count_labels)
    for start in range(0, rows, 5000):
        filled.append(matrix[start : start + 5000], labels[start : start + 5000])
    return filled


def main() -> None:
    train, validation = shard(40_000, 1), shard(20_000, 2)
    found = training_set(FEATURES, {"carrier": tuple("ABCDEFGHIJKL")})
    contract = LaunchContract(rank=0, world_size=1, master_addr="127.0.0.1", master_port=free_port())
    group = Group(contract, "gpu", timeout_seconds=5)
    said = {}
    for engine in ENGINES:
        progress = Progress(engine.kind, Binary().metrics[METRIC], train.rows, lambda _: None, lambda *_: None)
        context = TrainingContext(
            train=train, validation=validation, training_set=found, group=group, threads=4, progress=progress
        )
        fitted = registry.ENGINES[engine.kind].fit(engine, context)
        said[engine.kind] = {
            "device": fitted.device,
            "auc": fitted.card.validation_score,
            "rows_per_second": progress.rows_per_second,
        }
    print(json.dumps(said))


if __name__ == "__main__":
    main()

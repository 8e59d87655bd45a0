"""Measure training against plain `xgb.train` on the same cores, in one run; prints one line of JSON.

``make bench-train`` (``ROWS=2000000``, ``DEVICE=cuda``, ``PAIRS=3``): (a) pandas and ``xgb.train`` in one process, (b)
our job on one rank, (c) our job on two ranks with half the threads each. Each is a process of its own, and the three
take turns. Rows a second are training rows times rounds by the seconds from the first read to the last round; memory is
the largest resident size of a process. Ratios are medians over the turns, each against the plain run of the same turn.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from datetime import date, timedelta
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from deltalake import write_deltalake

from nightjar.lake.results import read_result
from nightjar.protocol.documents import dump_json
from nightjar.protocol.results import TrainResult

PROJECT = Path(__file__).with_name("project")
sys.path.insert(0, str(PROJECT))  # its use case replaces the project's, here and in the ranks

from nightjar.declaration.engines import Boosting  # noqa: E402
from nightjar.lake import delta, files  # noqa: E402
from nightjar.lake.lake import Lake  # noqa: E402
from nightjar.monitoring.profiles.profile import ProfiledColumn  # noqa: E402
from nightjar.monitoring.profiles.summarize import profile_arrays  # noqa: E402
from nightjar.protocol.job import JobSpec  # noqa: E402
from nightjar.training.data.splits import split_days  # noqa: E402
from nightjar.training.data.training_set import (  # noqa: E402
    DayCount,
    TrainingSet,
    night_of,
    training_set_uri,
)
from nightjar.training.distributed.launch import LocalRanks  # noqa: E402
from nightjar.training.recipe import Recipe  # noqa: E402
from use_cases.synthetic.use_case import USE_CASE  # noqa: E402

FIRST_DAY = date(2026, 1, 2)
TRAIN_DAYS = 100
OTHER_DAYS = USE_CASE.training.validation_days + USE_CASE.training.holdout_days
VALUES = tuple(f"v{i:02d}" for i in range(20))
CATEGORIES = {feature.name: VALUES for feature in USE_CASE.features.columns if feature.kind == "categorical"}


def write_days(lake: Lake, rows: int) -> list[DayCount]:
    """Features and labels of all days, ``rows`` each, ten days a commit."""
    counts = []
    days = [FIRST_DAY + timedelta(days=i) for i in range(TRAIN_DAYS + OTHER_DAYS)]
    for start in range(0, len(days), 10):
        tables = [make_day(day, rows) for day in days[start : start + 10]]
        for position, schema in enumerate((USE_CASE.feature_table, USE_CASE.label_table)):
            table = pa.concat_tables([of_day[position] for of_day in tables])
            write_deltalake(lake.table(schema).uri, table, mode="append", partition_by=["ds"])
        counts += [
            DayCount(day=day, rows=rows, labels={"positives": int(np.sum(labels["label"]))})
            for day, (_, labels) in zip(days[start : start + 10], tables, strict=True)
        ]
    return counts


def make_day(day: date, rows: int) -> tuple[pa.Table, pa.Table]:
    """Random features with 2 % missing, and labels that follow them; in random order."""
    rng = np.random.default_rng(day.toordinal())
    features: dict[str, Any] = {
        "ds": pa.array([night_of(day, USE_CASE.target.label_horizon_nights)] * rows),
        "id": np.arange(rows),
    }
    strength = np.zeros(rows)
    for position, feature in enumerate(USE_CASE.features.columns):
        if feature.kind == "numeric":
            values = rng.normal(size=rows)
            features[feature.name] = pa.array(values, mask=rng.random(rows) < 0.02)
            strength += values / (2 * position + 2)
        else:
            codes = rng.integers(0, len(VALUES), rows)
            features[feature.name] = pa.DictionaryArray.from_arrays(codes, pa.array(VALUES)).cast(pa.string())
            strength += (codes % 3 - 1) / 5
    labels = {
        "ds": pa.array([day] * rows),
        "id": features["id"],
        "label": (rng.random(rows) < 1 / (1 + np.exp(-strength))).astype(float),
        "outcome": pa.array(["known"] * rows),
        "known_at": pa.nulls(rows),
    }
    order = rng.permutation(rows)
    tables = []
    for schema, columns in ((USE_CASE.feature_table, features), (USE_CASE.label_table, labels)):
        arrow = delta.arrow_schema(schema)
        tables.append(pa.table({name: pa.array(columns[name]) for name in arrow.names}).cast(arrow).take(order))
    return tables[0], tables[1]


def freeze(lake: Lake, counts: list[DayCount]) -> TrainingSet:
    """The training set of all days."""
    return TrainingSet(
        use_case=USE_CASE.name,
        tables={t.name: lake.table(t).open().version() for t in (USE_CASE.feature_table, USE_CASE.label_table)},
        key=USE_CASE.key,
        features=USE_CASE.features.columns,
        categories=CATEGORIES,
        recipe=Recipe.of(USE_CASE),
        label_horizon_nights=USE_CASE.target.label_horizon_nights,
        **split_days(counts, USE_CASE, where="benchmark"),
    )


def plain(lake: Lake, training_set: TrainingSet, threads: int, device: str) -> dict[str, Any]:
    """(a): seconds and peak memory of the plain script."""
    training = USE_CASE.training
    engine = training.engines[0]
    assert isinstance(engine, Boosting)
    arguments = {
        "features": list(USE_CASE.feature_names),
        "categories": list(CATEGORIES),
        "train": [str(training_set.train.first), str(training_set.train.last)],
        "validation": [str(training_set.validation.first), str(training_set.validation.last)],
        "params": {
            "objective": "binary:logistic",
            "tree_method": "hist",
            "device": device,
            **engine.params,
            "nthread": threads,
            "seed": training.seed,
        },
        "rounds": engine.num_rounds,
    }
    script = Path(__file__).with_name("plain_train.py")
    command: list[str | Path] = [sys.executable, script, lake.uri, json.dumps(arguments)]
    done = subprocess.run(command, env=environment(threads, device), capture_output=True, text=True, check=True)
    figures: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return figures


def ours(lake: Lake, training_set: TrainingSet, world_size: int, threads: int, device: str) -> dict[str, Any]:
    """(b) and (c): seconds, and the peak memory of the largest rank, of a job as Airflow starts it."""
    spec = JobSpec(
        program="train",
        use_case=USE_CASE.name,
        first_night=USE_CASE.schedule.first_night,
        last_night=training_set.holdout.last,
        dag_id="benchmark",
        run_id=f"{world_size}-{time.time_ns()}",
        task_id="train",
        lake=lake.uri,
        world_size=world_size,
        threads_per_rank=threads,
    )
    folder = training_set_uri(spec).rsplit("/", 1)[0]
    files.write_text(training_set_uri(spec), dump_json(training_set))
    files.write_text(
        f"{folder}/profile.json", profile_arrays({"nothing": [0.0]}, [ProfiledColumn("nothing", "numeric")]).to_json()
    )
    files.write_text(f"{spec.output}/spec.json", dump_json(spec))
    lines: list[str] = []
    ranks = LocalRanks(
        program="train",
        spec_uri=f"{spec.output}/spec.json",
        world_size=world_size,
        threads_per_rank=threads,
        on_line=lines.append,
        environ=environment(threads, device),
    )
    ranks.start()
    ranks.wait()
    result = read_result(f"{spec.output}/result.json")
    if not isinstance(result, TrainResult):
        raise SystemExit("\n".join([*lines, result.error]))
    return {
        "read": result.seconds["read"],
        "train": result.seconds["train_boosting"],
        "peak": max(result.peak_memory_bytes),
        "device": result.device,
    }


def environment(threads: int, device: str) -> dict[str, str]:
    """What every process measured gets; MLflow is left out, and the GPU where it is not asked for."""
    environ = {name: value for name, value in os.environ.items() if name != "MLFLOW_TRACKING_URI"}
    path = os.pathsep.join(filter(None, [str(PROJECT), environ.get("PYTHONPATH")]))
    hidden = {} if device == "cuda" else {"CUDA_VISIBLE_DEVICES": ""}
    return {**environ, **hidden, "PYTHONPATH": path, "OMP_NUM_THREADS": str(threads)}


class GpuBusy:
    """The share of time in which the first GPU had work, sampled twice a second while the block runs."""

    def __enter__(self) -> GpuBusy:
        self._samples: list[float] = []
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._sample)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    @property
    def share(self) -> float:
        """Mean of the samples, 0 to 1."""
        return statistics.mean(self._samples) / 100

    def _sample(self) -> None:
        query = ["nvidia-smi", "--query-gpu=utilization.gpu", "--format=csv,noheader,nounits", "--id=0"]
        while not self._over.wait(0.5):
            self._samples.append(float(subprocess.run(query, capture_output=True, text=True, check=True).stdout))


def main() -> None:
    """Print the line."""
    rows, device = int(os.environ.get("ROWS") or 2_000_000), os.environ.get("DEVICE") or "cpu"
    pairs = int(os.environ.get("PAIRS") or 3)
    cores = len(os.sched_getaffinity(0))
    turns: list[dict[str, dict[str, float]]] = []
    busy = None
    with tempfile.TemporaryDirectory() as folder:
        lake = Lake(folder)
        training_set = freeze(lake, write_days(lake, -(-rows // TRAIN_DAYS)))
        for _ in range(pairs):
            turn = {"plain": plain(lake, training_set, cores, device)}
            turn["1 rank"] = ours(lake, training_set, 1, cores, device)
            turn["2 ranks"] = ours(lake, training_set, 2, max(1, cores // 2), device)
            turns.append(turn)
            print(json.dumps(turn), file=sys.stderr)
        if device == "cuda":
            with GpuBusy() as gpu:
                ours(lake, training_set, 1, cores, device)
            busy = round(gpu.share, 3)

    def seconds(figures: dict[str, float]) -> float:
        return figures["read"] + figures["train"]

    def ratio(name: str, figure: Callable[[dict[str, float]], float]) -> float:
        return round(statistics.median(figure(turn["plain"]) / figure(turn[name]) for turn in turns), 3)

    engine = USE_CASE.training.engines[0]
    assert isinstance(engine, Boosting)
    work = training_set.train.rows * engine.num_rounds
    each = {
        name: {
            "rows_per_second": round(statistics.median(work / seconds(turn[name]) for turn in turns)),
            "read_seconds": round(statistics.median(turn[name]["read"] for turn in turns), 1),
            "train_seconds": round(statistics.median(turn[name]["train"] for turn in turns), 1),
            "peak_megabytes": round(statistics.median(turn[name]["peak"] for turn in turns) / 1e6),
        }
        for name in turns[0]
    }
    print(
        json.dumps(
            {
                "benchmark": "train",
                "rows": training_set.train.rows,
                "columns": len(USE_CASE.features.columns),
                "rounds": engine.num_rounds,
                "speed_1rank_vs_plain": ratio("1 rank", seconds),
                "speed_2ranks_vs_plain": ratio("2 ranks", seconds),
                "rank_memory_vs_plain": max(
                    round(1 / ratio(name, lambda figures: figures["peak"]), 3) for name in ("1 rank", "2 ranks")
                ),
                **each,
                "pairs": pairs,
                "cores": cores,
                "device": {name: turns[0][name]["device"] for name in ("1 rank", "2 ranks")},
                **({"gpu_busy_share": busy} if busy is not None else {}),
                "versions": {name: version(name) for name in ("xgboost", "deltalake", "pyarrow", "pandas", "numpy")},
            }
        )
    )


if __name__ == "__main__":
    main()

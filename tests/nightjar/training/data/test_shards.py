"""Rows of whole days at frozen versions, joined by key, in an order independent of the files."""

from __future__ import annotations

from dataclasses import replace
from datetime import date

import numpy as np
import pyarrow as pa
import pytest
from deltalake import DeltaTable, write_deltalake
from tests.training_sets import count_labels

from nightjar.declaration.features import Feature
from nightjar.declaration.use_case import load_use_case
from nightjar.lake.lake import Lake
from nightjar.protocol.errors import RowCountError, StorageFullError, TrainingError
from nightjar.training.data.shards import Shard, check_counts, days_of_rank, read_days, read_shard
from nightjar.training.data.training_set import Recipe, Split, TrainingSet

DAY = date(2013, 1, 2)
NIGHT = date(2013, 1, 1)
NEXT = date(2013, 1, 3)
SPLIT = Split(first=DAY, last=DAY, days=(DAY,), rows=2, labels={"positives": 1})
TRAINING_SET = TrainingSet(
    use_case="x",
    tables={"features/x": 0, "labels/x": 0},
    key=("carrier", "flight"),
    features=(Feature("carrier", "categorical", "."), Feature("distance", "numeric", ".")),
    categories={"carrier": ("AA", "UA")},
    train=SPLIT,
    validation=SPLIT,
    holdout=SPLIT,
    recipe=Recipe.of(load_use_case("flight_delay")),
)


def _write(lake: Lake, name: str, columns: dict[str, list[object]], mode: str = "append") -> None:
    table = pa.table(columns)
    write_deltalake(f"{lake}/{name}", table, mode=mode, partition_by=["ds"])


@pytest.fixture
def filled(lake: Lake) -> Lake:
    _write(
        lake,
        "features/x",
        {
            "ds": [NIGHT, NIGHT, NIGHT, NIGHT, DAY],
            "carrier": ["UA", "AA", "AA", "ZZ", "AA"],
            "flight": [1, 2, 1, 9, 1],
            "distance": [100.0, 200.0, None, 400.0, 500.0],
        },
    )
    _write(
        lake,
        "labels/x",
        {
            "ds": [DAY, DAY, DAY, NEXT],
            "carrier": ["UA", "AA", "AA", "AA"],
            "flight": [1, 1, 2, 1],
            "label": [1.0, 0.0, None, 1.0],
        },
    )
    return lake


def whole(shard: Shard) -> tuple[np.ndarray, np.ndarray]:
    """All batches as one."""
    matrices, labels = zip(*shard.batches(), strict=True)
    return np.concatenate(matrices), np.concatenate(labels)


def test_labels_meet_the_features_of_the_night_before_sorted_by_key(filled: Lake) -> None:
    (day, rows), *more = read_days(filled, TRAINING_SET, [DAY], ["distance"])
    assert (day, more) == (DAY, [])
    assert rows.select(["carrier", "flight", "distance", "label"]).to_pylist() == [
        {"carrier": "AA", "flight": 1, "distance": None, "label": 0.0},
        {"carrier": "UA", "flight": 1, "distance": 100.0, "label": 1.0},
    ]


def test_labels_of_a_longer_horizon_meet_the_features_of_an_earlier_night(filled: Lake) -> None:
    ((_, rows),) = read_days(filled, replace(TRAINING_SET, label_horizon_nights=2), [NEXT], ["distance"])
    assert rows.select(["flight", "distance", "label"]).to_pylist() == [{"flight": 1, "distance": None, "label": 1.0}]


def test_a_shard_is_encoded_with_the_frozen_vocabulary(filled: Lake) -> None:
    shard = read_shard(filled, TRAINING_SET, replace(SPLIT, days=(DAY, NEXT)))
    matrix, labels = whole(shard)
    np.testing.assert_array_equal(matrix, np.array([[0, np.nan], [1, 100], [0, 500]], dtype=np.float32))
    np.testing.assert_array_equal(labels, np.array([0, 1, 1], dtype=np.float32))
    assert (shard.rows, shard.labels) == (3, {"positives": 2})
    np.testing.assert_array_equal(whole(shard)[0], matrix)  # as often as the engine asks


def test_later_versions_are_not_read_and_file_layout_does_not_matter(filled: Lake) -> None:
    before = read_shard(filled, TRAINING_SET, SPLIT)
    late = {"ds": [NIGHT], "carrier": ["AA"], "flight": [2], "distance": [1.0]}
    _write(filled, "features/x", late)
    _write(filled, "labels/x", {"ds": [DAY], "carrier": ["AA"], "flight": [2], "label": [1.0]})
    frozen = read_shard(filled, TRAINING_SET, SPLIT)
    for now, then in zip(whole(frozen), whole(before), strict=True):
        assert now.tobytes() == then.tobytes()
    scattered = read_shard(filled, replace(TRAINING_SET, tables={"features/x": 1, "labels/x": 1}), SPLIT)
    DeltaTable(f"{filled}/features/x").optimize.compact()
    compacted = read_shard(filled, replace(TRAINING_SET, tables={"features/x": 2, "labels/x": 1}), SPLIT)
    assert whole(scattered)[0].tobytes() == whole(compacted)[0].tobytes()
    # flight AA 2 is there twice in the features now: the count shows it
    with pytest.raises(RowCountError, match=r"frozen with 2 rows \(1 positives\), but 4 \(3 positives\) were read"):
        check_counts("train", SPLIT, scattered.rows, scattered.labels, where="here")


def test_days_are_distributed_round_robin() -> None:
    days = [date(2013, 1, d) for d in range(1, 6)]
    dealt = [days_of_rank(days, rank, 2) for rank in (0, 1)]
    assert [len(part) for part in dealt] == [3, 2]
    assert sorted([*dealt[0], *dealt[1]]) == days


def test_no_days_give_an_empty_shard(filled: Lake) -> None:
    shard = read_shard(filled, TRAINING_SET, SPLIT, rank=1, world_size=2)
    assert (shard.rows, list(shard.batches())) == (0, [])


def test_a_feature_that_is_missing_or_of_another_type_is_named_with_its_table(filled: Lake) -> None:
    for feature, said in (
        (Feature("wind", "numeric", "."), "column wind is missing"),
        (Feature("distance", "categorical", "."), "column distance is double, where the model reads categorical"),
    ):
        wrong = replace(TRAINING_SET, features=(*TRAINING_SET.features, feature))
        with pytest.raises(TrainingError, match=said) as caught:
            read_shard(filled, wrong, SPLIT)
        assert caught.value.where == f"features/x version 0, {feature.name}"
        assert "freeze_training_set" in caught.value.fix


def test_full_scratch_disk_is_reported() -> None:
    full = Shard(columns=1, count_labels=count_labels, _file=open("/dev/full", "wb"))  # noqa: SIM115
    with pytest.raises(StorageFullError, match="no space left") as caught:
        full.append(np.zeros((2, 1), dtype=np.float32), np.zeros(2, dtype=np.float32))
    assert "TMPDIR" in caught.value.where


def test_a_vacuumed_version_is_refused_clearly(filled: Lake) -> None:
    _write(filled, "features/x", {"ds": [NIGHT], "carrier": ["AA"], "flight": [2], "distance": [1.0]}, "overwrite")
    table = DeltaTable(f"{filled}/features/x")
    table.vacuum(retention_hours=0, enforce_retention_duration=False, dry_run=False)
    with pytest.raises(TrainingError, match="files of the frozen versions are gone") as caught:
        read_shard(filled, TRAINING_SET, SPLIT)
    assert "features/x version 0" in caught.value.where


def test_a_view_holds_the_chosen_batches_of_the_same_file_and_may_be_read_in_turns() -> None:
    shard = Shard(columns=2, count_labels=count_labels)
    for value in (1, 2, 3):
        shard.append(np.full((value, 2), value, np.float32), np.ones(value, np.float32))
    first, last = shard.view([0]), shard.view([1, 2])
    assert (first.rows, last.rows, last.labels) == (1, 5, {"positives": 5})
    turns = zip(last.batches(), shard.batches(), strict=False)
    assert [(mine[0].mean(), whole[0].mean()) for mine, whole in turns] == [(2, 1), (3, 2)]
    assert [matrix.shape for matrix, _ in first.batches()] == [(1, 2)]

"""Read the frozen rows: features and labels of whole days, joined in Arrow, directly from the Parquet files.

Only one day is in memory at a time. Encoded days are kept on local scratch disk, because engines read rows several
times and decoding Parquet takes longer.
"""

from __future__ import annotations

import math
import os
import tempfile
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import date
from typing import IO, TYPE_CHECKING

import numpy as np

from nightjar.declaration.rows import Rows
from nightjar.lake import files
from nightjar.lake.lake import Lake
from nightjar.lake.rows import read_rows
from nightjar.lake.scan import reader_of
from nightjar.problems.registry import problem_type
from nightjar.protocol.errors import LakeError, ModelError, RowCountError, TrainingError
from nightjar.training.data.encoding import check_columns, encode
from nightjar.training.data.training_set import Split, TrainingSet, night_of
from nightjar.training.data.weighting import (
    ClassWeighting,
    class_weighting,
    sample_rows,
    weight_of_age,
    weights_of_rows,
)

if TYPE_CHECKING:
    import pyarrow as pa
    from deltalake import DeltaTable
    from numpy.typing import NDArray

    Batch = tuple[NDArray[np.float32], NDArray[np.float32]]
    """Matrix (rows x features, see :func:`nightjar.training.data.encoding.encode`), and the rows' encoded labels."""
    WeightedBatch = tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]
    """A batch, and the weight of each row."""

    CountLabels = Callable[[NDArray[np.float32]], Mapping[str, int]]


@dataclass(frozen=True, kw_only=True)
class _Place:
    """A batch in the scratch file.

    Attributes:
        offset: Its offset in bytes.
        shape: Shape of the labels.
        labels: Counts of the labels.
        weight: Weight that all its rows have.
        has_weights: Whether a weight of each row follows the labels in the file, by which ``weight`` is multiplied.
    """

    offset: int
    shape: tuple[int, ...]
    labels: Mapping[str, int]
    weight: float
    has_weights: bool


@dataclass(kw_only=True)
class Shard:
    """Encoded rows of one rank, one batch for each day, in an unnamed scratch file that is removed with the process.

    Attributes:
        columns: Number of features.
        count_labels: Counts labels by group; see :meth:`nightjar.problems.problem_type.ProblemType.count_labels`.
        rows: Number of rows.
        labels: Number of rows by group of labels.
        left_out: Number of rows that were read, and left out by sampling.
    """

    columns: int
    count_labels: CountLabels = field(repr=False)
    rows: int = 0
    labels: Counter[str] = field(default_factory=Counter)
    left_out: int = 0
    _batches: list[_Place] = field(default_factory=list, repr=False)
    _file: IO[bytes] = field(default_factory=tempfile.TemporaryFile, repr=False)

    def append(
        self,
        matrix: NDArray[np.float32],
        labels: NDArray[np.float32],
        weight: float = 1.0,
        weights: NDArray[np.float32] | None = None,
    ) -> None:
        """Add a batch.

        Args:
            matrix: Encoded rows.
            labels: Their encoded labels.
            weight: Weight that all rows have in training.
            weights: Weight of each row, by which ``weight`` is multiplied; None for 1.

        Raises:
            StorageFullError: when the scratch disk is full.
        """
        with files.storage_errors(f"{tempfile.gettempdir()} (scratch of training; set TMPDIR to use another disk)"):
            offset = self._file.seek(0, os.SEEK_END)
            for array in (matrix, labels, *(() if weights is None else (weights,))):
                self._file.write(array.data)
            self._file.flush()
        self._take(
            _Place(
                offset=offset,
                shape=labels.shape,
                labels=self.count_labels(labels),
                weight=weight,
                has_weights=weights is not None,
            )
        )

    @property
    def batch_count(self) -> int:
        """Number of batches."""
        return len(self._batches)

    def batches(self) -> Iterator[Batch]:
        """Yield every batch in the order in which they were added."""
        for place in self._batches:
            yield self._read_batch(place)

    def weighted_batches(self) -> Iterator[WeightedBatch]:
        """Yield every batch with the weights of its rows."""
        for place in self._batches:
            matrix, labels = self._read_batch(place)
            weights = np.full(len(labels), place.weight, np.float32)
            yield matrix, labels, weights * self._read((len(labels),)) if place.has_weights else weights

    def _read_batch(self, place: _Place) -> Batch:
        """Read matrix and labels, after which the weights of the rows follow."""
        self._file.seek(place.offset)  # at each batch: views of one file may be read alternately
        return self._read((place.shape[0], self.columns)), self._read(place.shape)

    def _read(self, shape: tuple[int, ...]) -> NDArray[np.float32]:
        return np.fromfile(self._file, dtype=np.float32, count=math.prod(shape)).reshape(shape)

    def view(self, batches: Iterable[int]) -> Shard:
        """Return a shard of the batches at these positions, in this order, that reads the same file."""
        view = Shard(columns=self.columns, count_labels=self.count_labels, _file=self._file)
        for position in batches:
            view._take(self._batches[position])
        return view

    def rescaled(self) -> Shard:
        """Return a shard of the same batches whose newest rows weigh as much as the newest rows of the training."""
        heaviest = max(place.weight for place in self._batches)
        rescaled = Shard(columns=self.columns, count_labels=self.count_labels, _file=self._file)
        for place in self._batches:
            rescaled._take(replace(place, weight=place.weight / heaviest))
        return rescaled

    def _take(self, place: _Place) -> None:
        self._batches.append(place)
        self.rows += place.shape[0]
        self.labels.update(place.labels)


def days_of_rank(days: Sequence[date], rank: int, world_size: int) -> tuple[date, ...]:
    """Return every ``world_size``-th day, starting at ``rank``: each rank has all seasons and weekdays."""
    return tuple(days[rank::world_size])


def read_days(
    lake: Lake, training_set: TrainingSet, days: Sequence[date], columns: Sequence[str]
) -> Iterator[tuple[date, pa.Table]]:
    """Yield the labelled rows of each day at the frozen versions, sorted by key, independent of the file layout.

    Args:
        lake: The lake.
        training_set: Names the table versions.
        days: Label days; the features are those of :func:`nightjar.training.data.training_set.night_of` each.
        columns: Columns of the feature table to read.

    Yields:
        The day and its rows: the key, ``columns`` and ``label``.

    Raises:
        TrainingError: when files of a frozen version cannot be read.
    """
    import pyarrow.compute as pc

    features, labels = (_open(lake, training_set, name) for name in ("features", "labels"))
    key = list(training_set.key)
    names = list(dict.fromkeys([*key, *columns]))
    for day in days:
        with _readable(training_set):
            right = read_rows(labels, [*key, "label"], {"ds": [day.isoformat()]}).filter(pc.field("label").is_valid())
            night = night_of(day, training_set.label_horizon_nights)
            left = read_rows(features, names, {"ds": [night.isoformat()]})
        # sorted afterwards: the order of pyarrow's join is not defined
        rows = left.join(right, keys=key, join_type="inner", use_threads=False)
        yield day, rows.sort_by([(column, "ascending") for column in key])


@contextmanager
def _readable(training_set: TrainingSet) -> Iterator[None]:
    """Turn unreadable files of a frozen version into an error of the training."""
    try:
        yield
    except LakeError as error:
        versions = ", ".join(f"{table} version {version}" for table, version in training_set.tables.items())
        raise TrainingError(
            f"files of the frozen versions are gone or damaged ({error.what[:300]})",
            where=versions,
            fix="clear freeze_training_set of this run with force to train on current versions; trainings on the "
            "frozen versions cannot be reproduced",
        ) from error


def _open(lake: Lake, training_set: TrainingSet, name: str) -> DeltaTable:
    table = f"{name}/{training_set.use_case}"
    return lake.open_table(table, training_set.tables[table])


def read_shard(lake: Lake, training_set: TrainingSet, split: Split, rank: int = 0, world_size: int = 1) -> Shard:
    """Read this rank's days of a split, encoded with the frozen vocabulary.

    The rows of the training split are sampled and weighted as the recipe says.

    Raises:
        TrainingError: when a feature is missing or of another type, or a row has no weight.
        StorageFullError: when the scratch disk is full.
    """
    _check_features(lake, training_set)
    names = [feature.name for feature in training_set.features]
    problem = problem_type(training_set.recipe.problem)
    shard = Shard(columns=len(names), count_labels=problem.count_labels)
    is_train = split == training_set.train
    declared, seed = training_set.recipe.rows if is_train else Rows(), training_set.recipe.seed
    weighting = class_weighting(training_set.recipe) if is_train else ClassWeighting()
    columns = [*names, *problem.label_inputs, *([declared.weight_column] if declared.weight_column else [])]
    for day, rows in read_days(lake, training_set, days_of_rank(split.days, rank, world_size), columns):
        labels = problem.encode_labels(rows).astype(np.float32)
        chosen = sample_rows(labels, weighting, (seed, day.toordinal()))
        if chosen is not None:
            shard.left_out += int(np.count_nonzero(~chosen))
            rows, labels = rows.filter(chosen), labels[chosen]
        where = f"features/{training_set.use_case}, label day {day}"
        weights = weights_of_rows(rows, labels, declared, weighting, where=where)
        matrix = encode(rows, training_set.features, training_set.categories)
        shard.append(matrix, labels, weight_of_age((split.last - day).days, declared.half_life_days), weights)
    return shard


def _check_features(lake: Lake, training_set: TrainingSet) -> None:
    schema = reader_of(_open(lake, training_set, "features")).schema
    try:
        check_columns(schema, training_set.features)
    except ModelError as error:
        table = f"features/{training_set.use_case}"
        raise TrainingError(
            error.what,
            where=f"{table} version {training_set.tables[table]}, {error.where}",
            how_many=error.how_many,
            fix="build the features with the current declaration, then clear freeze_training_set of this run with "
            "force",
        ) from error


def check_counts(name: str, split: Split, rows: int, labels: Mapping[str, int], *, where: str) -> None:
    """Check that the rows are those that were frozen.

    Raises:
        RowCountError: with both figures.
    """
    if (rows, dict(labels)) != (split.rows, dict(split.labels)):
        raise RowCountError(
            f"the {name} split was frozen with {split.rows} rows ({listed(split.labels)}), "
            f"but {rows} ({listed(labels)}) were read",
            where=where,
            how_many=abs(split.rows - rows) or max(abs(split.labels[name] - labels[name]) for name in split.labels),
            fix="clear freeze_training_set of this run with force, and check that keys are unique in both tables",
        )


def listed(labels: Mapping[str, int]) -> str:
    """Return counts of labels by group for a message."""
    return ", ".join(f"{count} {name}" for name, count in labels.items())

"""Reading the frozen rows: features and labels of whole days, joined in Arrow, straight from the Parquet files.

No Spark and no copy of the whole: one day is in memory at a time, besides the encoded matrix.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING

from nightjar.contracts.errors import RowCountError
from nightjar.lake import delta
from nightjar.training.encoding import encode
from nightjar.training.training_set import Split, TrainingSet, night_of

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa
    from numpy.typing import NDArray


@dataclass(frozen=True, kw_only=True)
class Shard:
    """Encoded rows of one rank.

    Attributes:
        matrix: Rows x features, float32; see :func:`nightjar.training.encoding.encode`.
        labels: 0 or 1, float32, one a row.
    """

    matrix: NDArray[np.float32]
    labels: NDArray[np.float32]

    @property
    def rows(self) -> int:
        return len(self.labels)

    @property
    def positives(self) -> int:
        return int(self.labels.sum())


def days_of_rank(days: Sequence[date], rank: int, world_size: int) -> tuple[date, ...]:
    """Every ``world_size``-th day, from ``rank`` on: each rank sees all seasons and weekdays."""
    return tuple(days[rank::world_size])


def read_days(
    lake: str, training_set: TrainingSet, days: Sequence[date], columns: Sequence[str]
) -> Iterator[tuple[date, pa.Table]]:
    """Labelled rows of each day, at the frozen versions, sorted by key so that file layout does not matter.

    Args:
        lake: The lake's root.
        training_set: Says which table versions.
        days: Label days; the features are those of the night before each.
        columns: Columns of the feature table to read.

    Yields:
        The day and its rows: the key, ``columns`` and ``label``.
    """
    import pyarrow.compute as pc

    name = training_set.use_case
    features, labels = (
        delta.open_table(lake, table, training_set.tables[table]).to_pyarrow_dataset()
        for table in (f"features/{name}", f"labels/{name}")
    )
    key = list(training_set.key)
    wanted = [*key, *(column for column in columns if column not in key)]
    for day in days:
        known = (pc.field("ds") == day) & pc.field("label").is_valid()
        right = labels.to_table(columns=[*key, "label"], filter=known)
        left = features.to_table(columns=wanted, filter=pc.field("ds") == night_of(day))
        # join on encoded keys only: pyarrow's join is not ordered, hence the sort
        rows = left.join(right, keys=key, join_type="inner", use_threads=False)
        yield day, rows.sort_by([(column, "ascending") for column in key])


def read_shard(lake: str, training_set: TrainingSet, split: Split, rank: int = 0, world_size: int = 1) -> Shard:
    """This rank's days of a split, encoded with the frozen vocabulary."""
    import numpy as np

    names = [feature.name for feature in training_set.features]
    matrices = [np.empty((0, len(names)), dtype=np.float32)]
    labels = [np.empty(0, dtype=np.float32)]
    days = days_of_rank(split.days, rank, world_size)
    for _, rows in read_days(lake, training_set, days, names):
        matrices.append(encode(rows, training_set.features, training_set.categories))
        labels.append(rows["label"].to_numpy().astype(np.float32))
    return Shard(matrix=np.concatenate(matrices), labels=np.concatenate(labels))


def check_counts(name: str, split: Split, rows: int, positives: int, *, where: str) -> None:
    """Refuse rows that are not those that were frozen.

    Raises:
        RowCountError: with both figures.
    """
    if (rows, positives) != (split.rows, split.positives):
        raise RowCountError(
            f"the {name} split was frozen with {split.rows} rows ({split.positives} positive), "
            f"but {rows} ({positives}) were read",
            where=where,
            how_many=abs(split.rows - rows) or abs(split.positives - positives),
            fix="clear freeze_training_set of this run with force, and check that keys are unique in both tables",
        )

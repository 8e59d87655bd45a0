"""Samples of rows for the domain classifier: the same rows give the same sample, however they lie in files."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from nightjar.lake.numbers import LARGEST, to_float32

if TYPE_CHECKING:
    import pyarrow as pa

    from nightjar.monitoring.profiles.profile import Profile

SAMPLE_ROWS = 4_000
"""Rows of the reference's sample."""

NIGHT_ROWS = 1_000
"""Rows of a night's: the reference's own nights must be as large, and some of them are kept too."""

_MOST = 2**64 - 1


@dataclass(frozen=True)
class Sample:
    """Rows of some columns.

    Attributes:
        columns: Column to its values: numbers of six digits, or categories; None for missing.
    """

    columns: Mapping[str, Sequence[float | str | None]]

    @property
    def rows(self) -> int:
        return len(next(iter(self.columns.values()), ()))

    def first(self, rows: int) -> Sample:
        """Its first rows."""
        return Sample({name: values[:rows] for name, values in self.columns.items()})

    def of(self, names: Sequence[str]) -> Sample:
        """These columns of it alone."""
        return Sample({name: self.columns[name] for name in names})

    def matrix(self, names: Sequence[str], bins: Profile) -> NDArray[np.float32]:
        """Rows x columns; a category is its place in the reference's list (the most frequent first), missing is NaN."""
        matrix = np.empty((self.rows, len(names)), dtype=np.float32)
        for position, name in enumerate(names):
            known, values = bins.columns[name], self.columns[name]
            if known.kind == "categorical":
                codes: dict[Any, float] = {category: float(i) for i, category in enumerate(known.categories)}
                values = [None if value is None else codes.get(value, float(len(codes))) for value in values]
            matrix[:, position] = to_float32([np.nan if value is None else value for value in values])
        return matrix


def merge_samples(samples: Sequence[Sample]) -> Sample:
    """The rows of all, in their order; at least one."""
    names = samples[0].columns
    return Sample({name: [value for sample in samples for value in sample.columns[name]] for name in names})


@dataclass(frozen=True)
class Draw:
    """Rows that are candidates for a sample, each with the hash of its key."""

    hashes: NDArray[np.uint64]
    sample: Sample


def least_hashes(rows: int, of_rows: int) -> int:
    """A hash that ``rows`` of ``of_rows`` rows lie at or below, and hardly ever fewer: six deviations are added."""
    share = (rows + 6 * math.sqrt(rows)) / max(1, of_rows)
    return min(_MOST, int(share * _MOST))


def draw(keys: Sequence[pa.Array], values: Mapping[str, pa.Array], limit: int) -> Draw:
    """The rows of a batch whose keys' hashes are at most ``limit``.

    Args:
        keys: The key's columns.
        values: Column to its values, numbers as doubles; of which those that float32 does not hold are missing.
        limit: See :func:`least_hashes`.
    """
    import pyarrow as pa

    hashes = row_hashes(keys)
    kept = hashes <= np.uint64(limit)
    columns = {name: column.filter(pa.array(kept)).to_pylist() for name, column in values.items()}
    return Draw(hashes[kept], Sample({name: [_short(value) for value in column] for name, column in columns.items()}))


def least(draws: Sequence[Draw], rows: int) -> Sample:
    """The ``rows`` rows with the least hashes, by rising hash."""
    order = np.argsort(np.concatenate([one.hashes for one in draws]), kind="stable")[:rows].tolist()
    all_rows = merge_samples([one.sample for one in draws])
    return Sample({name: [values[i] for i in order] for name, values in all_rows.columns.items()})


def _short(value: float | str | None) -> float | str | None:
    """Six digits are enough to tell rows apart by, and a sample is stored with each model."""
    if isinstance(value, float):
        return float(f"{value:.6g}") if abs(value) <= LARGEST else None
    return value


def row_hashes(keys: Sequence[pa.Array]) -> NDArray[np.uint64]:
    """A number for each row, as if drawn at random, from its key alone.

    Numbers are mixed by SplitMix64 (Steele, Lea and Flood 2014, OOPSLA, fig. 16); a text's number is its BLAKE2b.

    Args:
        keys: The key's columns, of one length.
    """
    hashes = np.zeros(len(keys[0]), dtype=np.uint64)
    for column in keys:
        hashes = _mixed(hashes + _numbers(column))
    return hashes


def _numbers(column: pa.Array) -> NDArray[np.uint64]:
    import pyarrow as pa
    import pyarrow.compute as pc

    kind = column.type
    if pa.types.is_date32(kind):
        column = column.cast(pa.int32())
    if pa.types.is_integer(column.type) or pa.types.is_timestamp(kind):
        numbers = pc.fill_null(column.cast(pa.int64()), -1).to_numpy(zero_copy_only=False)
        return np.asarray(numbers, dtype=np.int64).view(np.uint64)
    distinct = pc.dictionary_encode(column.cast(pa.string()))
    digests = [_digest(text) for text in distinct.dictionary.to_pylist()]
    places = pc.fill_null(distinct.indices, len(digests)).to_numpy(zero_copy_only=False)
    of_rows: NDArray[np.uint64] = np.array([*digests, 0], dtype=np.uint64)[places]
    return of_rows


def _digest(text: str) -> int:
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "little")


def _mixed(numbers: NDArray[np.uint64]) -> NDArray[np.uint64]:
    mixed: NDArray[np.uint64] = numbers + np.uint64(0x9E3779B97F4A7C15)
    mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    last: NDArray[np.uint64] = mixed ^ (mixed >> np.uint64(31))
    return last

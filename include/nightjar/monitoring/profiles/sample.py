"""Samples of rows for the domain classifier: they depend on the rows alone, not on their order or files."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from nightjar.lake.numbers import LARGEST

if TYPE_CHECKING:
    import pyarrow as pa

SAMPLE_ROWS = 4_000
"""Rows of a reference's sample."""

NIGHT_ROWS = 1_000
"""Rows of a night's sample, and of the samples of the reference's own nights."""

_MOST = 2**64 - 1


@dataclass(frozen=True)
class Sample:
    """Rows of some columns.

    Attributes:
        columns: Column to its values: numbers with six significant digits, or categories; None for missing.
    """

    columns: Mapping[str, Sequence[float | str | None]]

    @property
    def rows(self) -> int:
        """Number of rows."""
        return len(next(iter(self.columns.values()), ()))

    def first(self, rows: int) -> Sample:
        """Return the first ``rows`` rows."""
        return Sample({name: values[:rows] for name, values in self.columns.items()})

    def of(self, names: Sequence[str]) -> Sample:
        """Return the columns ``names`` only."""
        return Sample({name: self.columns[name] for name in names})


def merge_samples(samples: Sequence[Sample]) -> Sample:
    """Concatenate one or more samples, in their order."""
    names = samples[0].columns
    return Sample({name: [value for sample in samples for value in sample.columns[name]] for name in names})


@dataclass(frozen=True)
class Draw:
    """Candidate rows for a sample, each with the hash of its key."""

    hashes: NDArray[np.uint64]
    sample: Sample


def least_hashes(rows: int, of_rows: int) -> int:
    """Return a hash limit that at least ``rows`` of ``of_rows`` rows are within (six standard deviations added)."""
    share = (rows + 6 * math.sqrt(rows)) / max(1, of_rows)
    return min(_MOST, int(share * _MOST))


def draw(keys: Sequence[pa.Array], values: Mapping[str, pa.Array], limit: int) -> Draw:
    """Select the rows of a batch whose key hash is at most ``limit``.

    Args:
        keys: The key's columns.
        values: Column to its values, numbers as doubles; values beyond float32 count as missing.
        limit: See :func:`least_hashes`.
    """
    import pyarrow as pa

    hashes = row_hashes(keys)
    kept = hashes <= np.uint64(limit)
    columns = {name: column.filter(pa.array(kept)).to_pylist() for name, column in values.items()}
    return Draw(hashes[kept], Sample({name: [_short(value) for value in column] for name, column in columns.items()}))


def least(draws: Sequence[Draw], rows: int) -> Sample:
    """Return the ``rows`` rows with the smallest hashes, in ascending order of the hash."""
    order = np.argsort(np.concatenate([draw.hashes for draw in draws]), kind="stable")[:rows].tolist()
    all_rows = merge_samples([draw.sample for draw in draws])
    return Sample({name: [values[i] for i in order] for name, values in all_rows.columns.items()})


def _short(value: float | str | None) -> float | str | None:
    """Round to six significant digits, which are enough for the classifier and keep the stored sample small."""
    if isinstance(value, float):
        return float(f"{value:.6g}") if abs(value) <= LARGEST else None
    return value


def row_hashes(keys: Sequence[pa.Array]) -> NDArray[np.uint64]:
    """Hash the key of each row to a uniform 64-bit number.

    Numbers are mixed by SplitMix64 (Steele, Lea and Flood 2014, OOPSLA, fig. 16); texts are hashed by BLAKE2b.

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

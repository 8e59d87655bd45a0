"""Which variant of an experiment an entity is in: by a salted hash of its key, the same on every night and machine."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from datetime import date
from typing import TYPE_CHECKING

import numpy as np

from nightjar.declaration.experiment import Experiment
from nightjar.declaration.use_case import UseCase

if TYPE_CHECKING:
    import pyarrow as pa
    from numpy.typing import NDArray

SEPARATOR = "\x1f"
"""Separates salt and key columns; the unit separator does not occur in ordinary text."""


def parts(batch: pa.RecordBatch, experiment: Experiment, key: tuple[str, ...]) -> Iterator[tuple[str, pa.RecordBatch]]:
    """Yield each variant that has rows in the batch, with its rows; see :func:`assign`."""
    import pyarrow as pa

    positions = assign(batch, experiment, key)
    for number, variant in enumerate(experiment.variants):
        is_variant = positions == number
        if is_variant.any():
            yield variant, batch.filter(pa.array(is_variant))


def splitting(use_case: UseCase, night: date) -> Experiment | None:
    """Return the experiment that splits the night; None when none is declared or it starts later."""
    experiment = use_case.scoring.experiment
    return experiment if experiment and night >= experiment.first_night else None


def assign(batch: pa.RecordBatch, experiment: Experiment, key: tuple[str, ...]) -> NDArray[np.intp]:
    """Return the position of each row's variant in ``experiment.variants``.

    The first 32 bits of SHA-256 over the salt and the unit's columns as text, divided by 2**32, place a row in [0, 1).
    Variants divide that interval in order, each by its share. Any SQL engine can compute it (docs/experiments.md).

    Args:
        batch: Rows that have the unit's columns, without nulls.
        experiment: The experiment that splits the rows.
        key: The use case's key; the unit of experiments that name none.

    Returns:
        One position for each row, from 0.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    salt = pa.repeat(experiment.name, batch.num_rows)
    columns = [batch.column(name).cast(pa.string()) for name in experiment.unit or key]
    texts = pc.binary_join_element_wise(salt, *columns, SEPARATOR).cast(pa.binary()).to_pylist()
    drawn = np.frombuffer(b"".join([hashlib.sha256(text).digest()[:4] for text in texts]), dtype=">u4")
    ends = np.cumsum(list(experiment.variants.values()))
    return np.minimum(np.searchsorted(ends, drawn / 2.0**32, side="right"), len(ends) - 1)

"""Which variant of an experiment an entity is in: by a salted hash of its key, the same on every night and machine."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from datetime import date
from typing import TYPE_CHECKING

from nightjar.declaration.experiment import Experiment
from nightjar.declaration.use_case import UseCase

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa
    from numpy.typing import NDArray

SEPARATOR = "\x1f"
"""Between the salt and the columns of the key: no text that people write holds it."""


def parts(batch: pa.RecordBatch, experiment: Experiment, key: tuple[str, ...]) -> Iterator[tuple[str, pa.RecordBatch]]:
    """The batch's rows by variant, those without a row left out; see :func:`assign`."""
    import pyarrow as pa

    assigned = assign(batch, experiment, key)
    for number, variant in enumerate(experiment.variants):
        mine = assigned == number
        if mine.any():
            yield variant, batch.filter(pa.array(mine))


def splitting(use_case: UseCase, night: date) -> Experiment | None:
    """The experiment that splits the night; None when none is declared, or it begins later."""
    experiment = use_case.scoring.experiment
    return experiment if experiment and night >= experiment.first_night else None


def assign(batch: pa.RecordBatch, experiment: Experiment, key: tuple[str, ...]) -> NDArray[np.intp]:
    """The place of each row's variant in ``experiment.variants``.

    A row lies at the first 32 bits of SHA-256 of the salt and its unit's columns as text, as a share of 2**32; variants
    follow each other there, each as wide as its share. Any SQL engine can compute it (docs/experiments.md).

    Args:
        batch: Rows that have the unit's columns, without nulls.
        experiment: Who splits them.
        key: The use case's key, which is the unit where the experiment names none.

    Returns:
        One number a row, from 0.
    """
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc

    salt = pa.repeat(experiment.name, batch.num_rows)
    columns = [batch.column(name).cast(pa.string()) for name in experiment.unit or key]
    texts = pc.binary_join_element_wise(salt, *columns, SEPARATOR).cast(pa.binary()).to_pylist()
    drawn = np.frombuffer(b"".join([hashlib.sha256(text).digest()[:4] for text in texts]), dtype=">u4")
    ends = np.cumsum(list(experiment.variants.values()))
    return np.minimum(np.searchsorted(ends, drawn / 2.0**32, side="right"), len(ends) - 1)

"""Count duplicate keys in eight bytes of memory a row."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import pyarrow as pa
    from numpy.typing import NDArray


def count_duplicate_keys(read: Callable[[], Iterator[pa.RecordBatch]]) -> int:
    """Return the number of rows minus the number of distinct keys.

    Keys are compared by a 64-bit hash. Keys with equal hashes are compared by value, so the count is exact.

    Args:
        read: Yields the key columns in batches, the same rows at each call; called again only when hashes are equal.
    """
    import pyarrow as pa

    hashes = np.sort(np.concatenate([np.empty(0, np.uint64), *map(_hash_rows, read())]))
    repeated_hashes = np.unique(hashes[1:][hashes[1:] == hashes[:-1]])
    if not repeated_hashes.size:
        return 0
    rows = pa.Table.from_batches(
        [batch.filter(pa.array(np.isin(_hash_rows(batch), repeated_hashes))) for batch in read()]
    )
    return int(rows.num_rows - rows.group_by(rows.column_names).aggregate([]).num_rows)


def _hash_rows(batch: pa.RecordBatch) -> NDArray[np.uint64]:
    import pandas as pd

    frame = batch.to_pandas(date_as_object=False)
    return np.asarray(pd.util.hash_pandas_object(frame, index=False), dtype=np.uint64)

"""Whether keys are there twice, at eight bytes a row whatever the keys are."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa
    from numpy.typing import NDArray


def rows_with_a_key_seen_before(read: Callable[[], Iterator[pa.RecordBatch]]) -> int:
    """Rows less distinct keys.

    Keys are told apart by a 64-bit hash; those whose hashes are equal are looked at themselves, so that the answer is
    exact.

    Args:
        read: Gives the key columns in batches, the same rows at each call; called again only where hashes are equal.
    """
    import numpy as np
    import pyarrow as pa

    hashes = np.sort(np.concatenate([np.empty(0, np.uint64), *map(_hashed, read())]))
    suspects = np.unique(hashes[1:][hashes[1:] == hashes[:-1]])
    if not suspects.size:
        return 0
    found = pa.Table.from_batches([batch.filter(pa.array(np.isin(_hashed(batch), suspects))) for batch in read()])
    return int(found.num_rows - found.group_by(found.column_names).aggregate([]).num_rows)


def _hashed(batch: pa.RecordBatch) -> NDArray[np.uint64]:
    import numpy as np
    import pandas as pd

    frame = batch.to_pandas(date_as_object=False)
    return np.asarray(pd.util.hash_pandas_object(frame, index=False), dtype=np.uint64)

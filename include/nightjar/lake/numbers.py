"""Which numbers are known: one meaning of missing for contracts, training, scoring, drift and profiles.

Models read float32. A number that float32 cannot hold (NaN, an infinity, or one beyond its range) is missing, like
null, wherever a column is read.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import ArrayLike, NDArray

LARGEST = 3.4028234663852886e38
"""Largest size of a number that float32 holds."""


def is_known(values: ArrayLike) -> NDArray[np.bool_]:
    """Return for each number whether it is known; NaN, the infinities and numbers beyond float32's range are not."""
    import numpy as np

    known: NDArray[np.bool_] = np.abs(np.asarray(values, dtype=np.float64)) <= LARGEST
    return known


def to_float32(values: ArrayLike) -> NDArray[np.float32]:
    """Return the numbers as models read them; those that are not known become NaN."""
    import numpy as np

    doubles = np.asarray(values, dtype=np.float64)
    return np.where(is_known(doubles), doubles, np.nan).astype(np.float32)

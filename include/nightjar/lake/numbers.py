"""Which numbers count as missing: one definition for contracts, training, scoring, drift and profiles.

Models read float32. A number that is not finite in float32 (NaN, an infinity, or out of range) counts as missing, like
null, wherever a column is read.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import ArrayLike, NDArray

LARGEST = 3.4028234663852886e38
"""Largest finite float32."""


def is_known(values: ArrayLike) -> NDArray[np.bool_]:
    """Return for each number whether it is known; NaN, infinities and numbers out of float32's range are not."""
    import numpy as np

    known: NDArray[np.bool_] = np.abs(np.asarray(values, dtype=np.float64)) <= LARGEST
    return known


def to_float32(values: ArrayLike) -> NDArray[np.float32]:
    """Return the numbers as models read them; unknown numbers become NaN."""
    import numpy as np

    doubles = np.asarray(values, dtype=np.float64)
    return np.where(is_known(doubles), doubles, np.nan).astype(np.float32)

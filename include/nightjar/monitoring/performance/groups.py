"""Rows in the order of their groups, so that a group is a run of consecutive rows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True)
class Grouping:
    """Groups of rows.

    Attributes:
        present: The groups that have rows, ascending.
        codes: Position of each row's group in ``present``.
        order: Positions of the rows, sorted by group; rows of a group keep their order.
        starts: Position in ``order`` at which each group begins.
    """

    present: NDArray[np.int64]
    codes: NDArray[np.int64]
    order: NDArray[np.int64]
    starts: NDArray[np.int64]


def group_by(groups: NDArray[np.int64]) -> Grouping:
    """Return the grouping of rows by ``groups``, the group of each row."""
    present, codes = np.unique(groups, return_inverse=True)
    order = np.argsort(codes, kind="stable")
    starts = np.searchsorted(codes[order], np.arange(len(present)))
    return Grouping(present=present, codes=codes, order=order, starts=starts)

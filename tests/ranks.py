"""Ranks of a training as threads of the test."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import numpy as np

Part = TypeVar("Part")
Result = TypeVar("Result")


class Ranks:
    """Threads that add arrays, like the ranks of a collective."""

    def __init__(self, count: int) -> None:
        self._barrier = threading.Barrier(count, timeout=60)
        self._given: list[np.ndarray | None] = [None] * count
        self._local = threading.local()

    def sum_over_ranks(self, values: np.ndarray) -> np.ndarray:
        """Return the sum of all threads' arrays; each thread calls it."""
        self._give(np.array(values))
        total = np.sum(self._given, axis=0)
        self._barrier.wait()  # nobody replaces an array that another thread still reads
        return total

    def _give(self, values: np.ndarray | None) -> None:
        """Give an array, or None at the end, and wait until each thread has given as much."""
        self._given[self._local.rank] = values
        self._barrier.wait()
        assert len({given is None for given in self._given}) == 1, "ranks add arrays a different number of times"

    def run(self, function: Callable[[Part], Result], parts: Sequence[Part]) -> list[Result]:
        """Return what ``function`` returns in each thread for its part."""

        def run_rank(rank: int) -> Result:
            self._local.rank = rank
            try:
                result = function(parts[rank])
                self._give(None)
                return result
            except BaseException:
                self._barrier.abort()
                raise

        with ThreadPoolExecutor(len(parts)) as pool:
            return list(pool.map(run_rank, range(len(parts))))


def on_ranks(function: Callable[[Part, Callable[[np.ndarray], np.ndarray]], Result], parts: Sequence[Part]) -> Result:
    """Return what ``function`` returns, given each rank's part and the sum over ranks, after a check that all agree."""
    ranks = Ranks(len(parts))
    results = ranks.run(lambda part: function(part, ranks.sum_over_ranks), parts)
    assert all(result == results[0] for result in results)
    return results[0]


def alone(values: np.ndarray) -> np.ndarray:
    """The sum over a single rank."""
    return values

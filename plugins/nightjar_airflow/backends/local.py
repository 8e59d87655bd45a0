"""The local backend: ranks are processes in their own process group."""

from __future__ import annotations

import os
from collections.abc import Callable

from nightjar.protocol.job import JobResult, JobSpec
from nightjar.training.distributed.launch import LocalRanks
from nightjar_airflow.backends.result import required_result, spec_uri


def threads_per_rank(world_size: int) -> int:
    """Return this machine's cores per rank."""
    return max(1, len(os.sched_getaffinity(0)) // world_size)


class LocalBackend:
    """Runs the ranks of one spec, and waits for them.

    Args:
        spec: Spec of the program.
        on_line: Called with each line of rank 0.
    """

    def __init__(self, spec: JobSpec, on_line: Callable[[str], None]) -> None:
        self._spec = spec
        self._ranks = LocalRanks(
            program=spec.program,
            spec_uri=spec_uri(spec),
            world_size=spec.world_size,
            threads_per_rank=spec.threads_per_rank,
            on_line=on_line,
        )

    def run(self) -> JobResult:
        """Run all ranks, and return the result."""
        self._ranks.start()
        self._ranks.wait()
        return required_result(self._spec)

    def stop(self) -> None:
        """Stop all ranks together."""
        self._ranks.stop()

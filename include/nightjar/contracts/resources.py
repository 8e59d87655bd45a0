"""What one rank of a training needs. A declaration; what it means on a cluster is that cluster's configuration."""

from __future__ import annotations

from dataclasses import dataclass

from nightjar.contracts.errors import ConfigurationError


@dataclass(frozen=True, kw_only=True)
class Resources:
    """One rank's share of a machine; on Kubernetes a pod. A training on one machine shares its cores instead.

    Attributes:
        cpus: Cores of a rank, also its number of threads.
        memory_gib: Memory of a rank; a rank that takes more is killed.
        shared_memory_gib: Size of ``/dev/shm`` (NCCL, data loaders); it counts towards the memory.
        gpus: GPUs of a rank, for the programs that use them.
        gpu_type: Name of a GPU type of the environment's configuration (``gpu_types``); None takes any.
        priority_class: Kubernetes priority class; None takes the environment's.
        queue: Kueue queue; None takes the environment's.
        max_hours: A training that takes longer is ended and fails.
    """

    cpus: int = 4
    memory_gib: float = 8.0
    shared_memory_gib: float = 1.0
    gpus: int = 0
    gpu_type: str | None = None
    priority_class: str | None = None
    queue: str | None = None
    max_hours: float = 12.0

    def __post_init__(self) -> None:
        if self.cpus < 1 or self.gpus < 0 or self.memory_gib <= 0 or self.max_hours <= 0:
            raise ConfigurationError(
                f"{self.cpus} cpus, {self.gpus} gpus, {self.memory_gib:g} GiB and {self.max_hours:g} hours are no rank",
                where="resources of the use case",
                fix="give cpus from 1, gpus from 0, memory_gib and max_hours above 0",
            )
        if not 0 <= self.shared_memory_gib < self.memory_gib:
            raise ConfigurationError(
                f"shared_memory_gib {self.shared_memory_gib:g} leaves nothing of memory_gib {self.memory_gib:g}",
                where="resources of the use case",
                fix="shared memory counts towards the memory: give less of it, or more memory",
            )


PLAIN = Resources(cpus=1, memory_gib=2.0, shared_memory_gib=0.25)
"""Default of a program that does not train: it reads figures or one holdout, in one process."""

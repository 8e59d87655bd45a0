"""What one rank of a training needs. A declaration; what it means on a cluster is that cluster's configuration."""

from __future__ import annotations

from dataclasses import dataclass

from nightjar.declaration.declared import Count, CountOrZero, Declaration, NotNegative, Positive, Text, refuse


@dataclass(frozen=True, kw_only=True)
class Resources(Declaration):
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

    cpus: Count = 4
    memory_gib: Positive = 8.0
    shared_memory_gib: NotNegative = 1.0
    gpus: CountOrZero = 0
    gpu_type: Text | None = None
    priority_class: Text | None = None
    queue: Text | None = None
    max_hours: Positive = 12.0

    def check(self) -> None:
        """Refuse shared memory that leaves none to the rank."""
        if self.shared_memory_gib >= self.memory_gib:
            refuse(
                f"shared_memory_gib {self.shared_memory_gib:g} leaves nothing of memory_gib {self.memory_gib:g}",
                where="Resources.shared_memory_gib",
                fix="shared memory counts towards the memory: give less of it, or more memory",
            )


PLAIN = Resources(cpus=1, memory_gib=2.0, shared_memory_gib=0.25)
"""Default of a program that does not train: it reads figures or one holdout, in one process."""

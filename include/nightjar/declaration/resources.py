"""Resources of one training rank. The cluster's configuration decides how they are provided."""

from __future__ import annotations

from dataclasses import dataclass

from nightjar.declaration.declared import Count, CountOrZero, Declaration, NotNegative, Positive, Text, refuse


@dataclass(frozen=True, kw_only=True)
class Resources(Declaration):
    """Resources of one rank, on Kubernetes one pod. Ranks on one machine share its cores instead.

    Attributes:
        cpus: Cores and number of threads of a rank.
        memory_gib: Memory limit; a rank that exceeds it is killed.
        shared_memory_gib: Size of ``/dev/shm`` (NCCL, data loaders); counts towards the memory.
        gpus: GPUs of a rank, for programs that use them.
        gpu_type: GPU type of the environment's configuration (``gpu_types``); None for any.
        priority_class: Kubernetes priority class; None for the environment's.
        queue: Kueue queue; None for the environment's.
        max_hours: Time limit; a training that exceeds it is stopped and fails.
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
        """Check that shared memory leaves memory for the rank."""
        if self.shared_memory_gib >= self.memory_gib:
            refuse(
                f"shared_memory_gib {self.shared_memory_gib:g} leaves nothing of memory_gib {self.memory_gib:g}",
                where="Resources.shared_memory_gib",
                fix="shared memory counts towards the memory: give less of it, or more memory",
            )


SMALL = Resources(cpus=1, memory_gib=2.0, shared_memory_gib=0.25)
"""Default for a program that does not train. It reads metrics or one holdout, in one process."""

"""Free and used memory, and errors of failed allocations."""

from __future__ import annotations

import psutil

from nightjar.protocol.errors import NightjarError, TrainingError

# Error messages of XGBoost and torch for failed allocations, on CPU and GPU.
_WORDS = ("bad_alloc", "out of memory", "Memory allocation error", "can't allocate memory")


def free_memory() -> int:
    """Return the bytes that this process can still allocate, by the machine and by the container's limit."""
    free = int(psutil.virtual_memory().available)
    limit, used = (_cgroup(f"/sys/fs/cgroup/memory.{name}") for name in ("max", "current"))
    return free if limit is None or used is None else min(free, limit - used)


def peak_memory() -> int:
    """Return the peak resident size of this process, in bytes."""
    with open("/proc/self/status") as lines:  # getrusage would count what the process was forked from, psutil has none
        return next(int(line.split()[1]) << 10 for line in lines if line.startswith("VmHWM:"))


def _cgroup(path: str) -> int | None:
    """Return a figure of the container's cgroup; None when it is missing or unlimited."""
    try:
        with open(path) as file:
            text = file.read().strip()
    except OSError:
        return None
    return int(text) if text.isdigit() else None


def out_of_memory(error: BaseException, rank: int) -> TrainingError | None:
    """Return the error for a failed allocation in Python or in an engine; None for any other error.

    The launcher reports a rank that the kernel kills instead.
    """
    # our own errors may quote another rank: look at the cause instead
    origin = error.__cause__ if isinstance(error, NightjarError) else error
    if not isinstance(origin, MemoryError) and not any(words in str(origin) for words in _WORDS):
        return None
    if "CUDA out of memory" in str(origin):
        return TrainingError(
            f"rank {rank} ran out of GPU memory ({str(origin)[:200]})",
            where=f"rank {rank}",
            fix="lower batch_size (or max_bin and max_depth), or train on more ranks (world_size of the use case)",
        )
    return TrainingError(
        f"rank {rank} ran out of memory after {peak_memory() / 1e6:,.0f} MB",
        where=f"rank {rank}",
        fix="train on more ranks (world_size of the use case), or give each more memory",
    )

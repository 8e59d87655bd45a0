"""How much memory there is, and how much was taken. Linux; standard library only."""

from __future__ import annotations

from nightjar.protocol.errors import NightjarError, TrainingError

# What XGBoost and torch say of allocations that failed, on CPU and GPU.
_WORDS = ("bad_alloc", "out of memory", "Memory allocation error", "can't allocate memory")


def free_memory() -> int:
    """Bytes that this process may still take: what the machine has, or what the container's limit leaves."""
    free = _figure("/proc/meminfo", "MemAvailable")
    limit, used = (_cgroup(f"/sys/fs/cgroup/memory.{name}") for name in ("max", "current"))
    return free if limit is None or used is None else min(free, limit - used)


def peak_memory() -> int:
    """Bytes of the largest resident size that this process has had."""
    return _figure("/proc/self/status", "VmHWM")


def _figure(path: str, name: str) -> int:
    """Bytes of the line ``name:`` of a file of Linux that counts in KiB."""
    with open(path) as lines:
        return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(f"{name}:"))


def _cgroup(path: str) -> int | None:
    """A figure of the container's limits; None where there is none."""
    try:
        with open(path) as file:
            text = file.read().strip()
    except OSError:
        return None
    return int(text) if text.isdigit() else None


def out_of_memory(error: BaseException, rank: int) -> TrainingError | None:
    """What to say of an allocation that failed, in Python or in an engine; None for any other error.

    A rank that the kernel kills instead is named by its launcher.
    """
    # an error of ours has words of its own, those of another rank perhaps: what counts is what it came from
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

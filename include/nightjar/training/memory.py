"""How much memory there is, and how much was taken. Linux; standard library only."""

from __future__ import annotations


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

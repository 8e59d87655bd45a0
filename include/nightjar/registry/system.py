"""Utilization of this machine as MLflow's system metrics. Linux; standard library only."""

from __future__ import annotations

import shutil
import subprocess

_MEGABYTE = 1e6


class SystemFigures:
    """Read CPU and memory of the machine, and of its NVIDIA GPUs where ``nvidia-smi`` answers.

    Names: https://mlflow.org/docs/latest/ml/tracking/system-metrics/
    """

    def __init__(self) -> None:
        self._last_ticks = _cpu_ticks()
        self._nvidia_smi = shutil.which("nvidia-smi")

    def read(self) -> dict[str, float]:
        """Return the current metrics; CPU utilization is the mean since the last call."""
        busy, total = (current - last for current, last in zip(_cpu_ticks(), self._last_ticks, strict=True))
        self._last_ticks = _cpu_ticks()
        memory = _memory()
        used = memory["MemTotal"] - memory["MemAvailable"]
        return {
            "system/cpu_utilization_percentage": 100 * busy / max(total, 1),
            "system/system_memory_usage_megabytes": used / _MEGABYTE,
            "system/system_memory_usage_percentage": 100 * used / memory["MemTotal"],
            **self._gpus(),
        }

    def _gpus(self) -> dict[str, float]:
        if self._nvidia_smi is None:
            return {}
        query = ["--query-gpu=utilization.gpu,memory.used", "--format=csv,noheader,nounits"]
        try:
            done = subprocess.run([self._nvidia_smi, *query], capture_output=True, text=True, timeout=10, check=True)
        except (subprocess.CalledProcessError, subprocess.TimeoutExpired):
            return {}  # the training itself reports a driver that does not answer
        figures = {}
        for number, line in enumerate(done.stdout.splitlines()):
            busy, mebibytes = (float(value) for value in line.split(","))
            figures[f"system/gpu_{number}_utilization_percentage"] = busy
            figures[f"system/gpu_{number}_memory_usage_megabytes"] = mebibytes * 2**20 / _MEGABYTE
        return figures


def _cpu_ticks() -> tuple[int, int]:
    """Return busy ticks and all ticks, summed over cores, since boot."""
    with open("/proc/stat") as file:
        ticks = [int(value) for value in file.readline().split()[1:9]]
    idle = ticks[3] + ticks[4]  # idle and waiting for disks
    return sum(ticks) - idle, sum(ticks)


def _memory() -> dict[str, int]:
    """Return ``/proc/meminfo`` in bytes."""
    with open("/proc/meminfo") as lines:
        return {name: int(value.split()[0]) * 1024 for name, value in (line.split(":") for line in lines)}

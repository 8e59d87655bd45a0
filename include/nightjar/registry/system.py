"""Utilization of this machine as MLflow's system metrics."""

from __future__ import annotations

import shutil
import subprocess

import psutil

_MEGABYTE = 1e6


class SystemFigures:
    """Read CPU and memory of the machine, and of its NVIDIA GPUs where ``nvidia-smi`` answers.

    Names: https://mlflow.org/docs/latest/ml/tracking/system-metrics/
    """

    def __init__(self) -> None:
        psutil.cpu_percent()  # the next call gives the mean since this one
        self._nvidia_smi = shutil.which("nvidia-smi")

    def read(self) -> dict[str, float]:
        """Return the current metrics; CPU utilization is the mean since the last call."""
        memory = psutil.virtual_memory()
        used_bytes = memory.total - memory.available
        return {
            "system/cpu_utilization_percentage": psutil.cpu_percent(),
            "system/system_memory_usage_megabytes": used_bytes / _MEGABYTE,
            "system/system_memory_usage_percentage": 100 * used_bytes / memory.total,
            **self._gpus(),
        }

    def _gpus(self) -> dict[str, float]:
        if self._nvidia_smi is None:
            return {}
        query = ["--query-gpu=utilization.gpu,memory.used", "--format=csv,noheader,nounits"]
        try:
            completed = subprocess.run(
                [self._nvidia_smi, *query], capture_output=True, text=True, timeout=10, check=True
            )
        except (subprocess.CalledProcessError, subprocess.TimeoutExpired):
            return {}  # the training itself reports a driver that does not answer
        figures = {}
        for number, line in enumerate(completed.stdout.splitlines()):
            utilization, mebibytes = (float(value) for value in line.split(","))
            figures[f"system/gpu_{number}_utilization_percentage"] = utilization
            figures[f"system/gpu_{number}_memory_usage_megabytes"] = mebibytes * 2**20 / _MEGABYTE
        return figures

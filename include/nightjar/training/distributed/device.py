"""Which device a rank trains on: a GPU of its own where every rank has one, else the CPU."""

from __future__ import annotations

import ctypes
import logging

from nightjar.training.distributed.rendezvous import Group

log = logging.getLogger(__name__)

CPU = "cpu"


def choose(group: Group) -> str:
    """``cuda:<local rank>`` when each rank has an NVIDIA GPU to itself, ``cpu`` otherwise; all ranks call it.

    Two ranks cannot share a GPU (NCCL refuses), and one rank on a CPU would hold up all others.
    """
    contract = group.contract
    devices = cuda_devices()
    if all(group.exchange(contract.local_rank < devices)):
        return f"cuda:{contract.local_rank}"
    if devices and contract.rank == 0:
        log.warning("WARNING training on the CPU: there are %d GPUs here, fewer than ranks", devices)
    return CPU


def cuda_devices() -> int:
    """NVIDIA GPUs that this process may use (``CUDA_VISIBLE_DEVICES`` counts), by the driver itself."""
    try:
        driver = ctypes.CDLL("libcuda.so.1")
    except OSError:
        return 0
    count = ctypes.c_int()
    usable = driver.cuInit(0) == 0 and driver.cuDeviceGetCount(ctypes.byref(count)) == 0
    return count.value if usable else 0

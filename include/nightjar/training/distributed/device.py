"""Select the device of a rank: its own GPU when every rank has one, else the CPU."""

from __future__ import annotations

import ctypes
import logging

from nightjar.training.distributed.rendezvous import Group

log = logging.getLogger(__name__)

CPU = "cpu"


def choose(group: Group) -> str:
    """Return ``cuda:<local rank>`` when each rank has its own NVIDIA GPU, else ``cpu``; all ranks call it.

    NCCL does not support two ranks on one GPU, and one rank on a CPU would slow down all others.
    """
    contract = group.contract
    devices = cuda_devices()
    if all(group.exchange(contract.local_rank < devices)):
        return f"cuda:{contract.local_rank}"
    if devices and contract.rank == 0:
        log.warning("WARNING training on the CPU: this machine has %d GPUs, fewer than ranks", devices)
    return CPU


def cuda_devices() -> int:
    """Return the number of NVIDIA GPUs that the driver offers this process; ``CUDA_VISIBLE_DEVICES`` limits it."""
    try:
        driver = ctypes.CDLL("libcuda.so.1")
    except OSError:
        return 0
    count = ctypes.c_int()
    usable = driver.cuInit(0) == 0 and driver.cuDeviceGetCount(ctypes.byref(count)) == 0
    return count.value if usable else 0

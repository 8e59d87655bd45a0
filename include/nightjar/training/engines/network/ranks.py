"""A network on several ranks: torch's process group, and gradients averaged over the ranks."""

from __future__ import annotations

import shutil
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING

from nightjar.training.distributed import device
from nightjar.training.distributed.collective import COLLECTIVE_SECONDS
from nightjar.training.distributed.rendezvous import Group

if TYPE_CHECKING:
    import torch


@contextmanager
def process_group(group: Group, device_name: str) -> Iterator[None]:
    """Join torch's process group; rank 0 listens only at its own address and sends the port through ``group``."""
    contract = group.contract
    if contract.world_size == 1:
        yield
        return
    import torch
    import torch.distributed as dist

    on_gpu = device_name != device.CPU
    if on_gpu:
        torch.cuda.set_device(device_name)
    address, patience = socket.gethostbyname(contract.master_addr), timedelta(seconds=COLLECTIVE_SECONDS)
    # torch itself would listen on all addresses of the machine
    listener = socket.create_server((address, 0)) if contract.rank == 0 else None
    port = group.exchange(listener.getsockname()[1] if listener else None)[0]
    store = dist.TCPStore(  # type: ignore[attr-defined]
        address,
        port,
        contract.world_size,
        is_master=listener is not None,
        timeout=patience,
        master_listen_fd=listener.detach() if listener else None,
    )
    dist.init_process_group(
        "nccl" if on_gpu else "gloo",
        store=store,
        rank=contract.rank,
        world_size=contract.world_size,
        timeout=patience,
    )
    yield  # a failed rank exits: a clean shutdown would wait for lost ranks
    dist.destroy_process_group()


def distribute(module: torch.nn.Module, group: Group, device_name: str) -> torch.nn.Module:
    """Return the module with gradients averaged over the ranks; compiled on a GPU."""
    import torch

    on_gpu = device_name != device.CPU
    if on_gpu and (shutil.which("cc") or shutil.which("gcc")):  # torch.compile needs a C compiler
        module = torch.compile(module)  # type: ignore[assignment]
    if group.contract.world_size == 1:
        return module
    # DDP reorders its buckets after the first step, which changes the order of sums for more than two ranks. A resumed
    # training has another first step. With find_unused_parameters DDP keeps the order.
    return torch.nn.parallel.DistributedDataParallel(
        module, device_ids=[torch.device(device_name).index] if on_gpu else None, find_unused_parameters=True
    )

"""The state of a network's training in a checkpoint."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from nightjar.training.distributed.checkpoint import Checkpoint
from nightjar.training.engines.network.module import copied_weights, put_weights

if TYPE_CHECKING:
    import numpy as np
    import torch
    from numpy.typing import NDArray

    Weights = Mapping[str, NDArray[np.float32]]


def dump_state(module: torch.nn.Module, optimizer: torch.optim.Optimizer, best: Weights) -> bytes:
    """Return the state of the training as a safetensors file: weights, optimizer moments, best weights."""
    from safetensors.numpy import save

    arrays = {f"now.{name}": array for name, array in copied_weights(module).items()}
    arrays |= {f"best.{name}": array for name, array in best.items()}
    for number, moment in optimizer.state_dict()["state"].items():
        arrays |= {f"optimizer.{number}.{name}": value.cpu().numpy() for name, value in moment.items()}
    return bytes(save(arrays))


def restore_state(checkpoint: Checkpoint, module: torch.nn.Module, optimizer: torch.optim.Optimizer) -> Weights:
    """Restore module and optimizer from :func:`dump_state`; return the best weights."""
    import torch
    from safetensors.numpy import load

    parts: dict[str, dict[str, NDArray[np.float32]]] = {"now": {}, "best": {}, "optimizer": {}}
    for name, array in load(checkpoint.state).items():
        part, rest = name.split(".", 1)
        parts[part][rest] = array
    put_weights(module, parts["now"])
    moments: dict[int, dict[str, torch.Tensor]] = {}
    for name, array in parts["optimizer"].items():
        number, moment = name.split(".")
        moments.setdefault(int(number), {})[moment] = torch.from_numpy(array)
    optimizer.load_state_dict({"state": moments, "param_groups": optimizer.state_dict()["param_groups"]})
    return parts["best"]

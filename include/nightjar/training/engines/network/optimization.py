"""The optimizer, the learning rate of each step, and the test that finds it."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np

from nightjar.declaration.network import Network

if TYPE_CHECKING:
    import torch
    from numpy.typing import NDArray

LOWEST_RATE, HIGHEST_RATE = 1e-6, 1.0
TEST_STEPS = 100
"""Steps of the range test, over learning rates that grow by the same factor."""
_MEMORY = 0.9  # of the losses' exponential mean
_DIVERGED = 4.0  # times the lowest loss: where the test is over (fastai's learning rate finder)
_BELOW_LOWEST = 10.0


def make_optimizer(module: torch.nn.Module, engine: Network) -> torch.optim.Optimizer:
    """Return the declared optimizer of the parameters that are trained."""
    import torch

    parameters = [parameter for parameter in module.parameters() if parameter.requires_grad]
    if engine.optimizer == "sgd":
        return torch.optim.SGD(
            parameters, lr=LOWEST_RATE, momentum=engine.momentum, nesterov=True, weight_decay=engine.weight_decay
        )
    return torch.optim.AdamW(parameters, lr=LOWEST_RATE, weight_decay=engine.weight_decay)


def rate_of(step: int, steps: int, epochs: int, peak: float, schedule: str) -> float:
    """Return the learning rate of a step: linear warm-up over the first epoch, then the schedule.

    The cosine is that of Loshchilov and Hutter, SGDR, 2017, without restarts.

    Args:
        step: Number of the step of the optimizer, from 0.
        steps: Steps of an epoch.
        epochs: Maximum number of epochs.
        peak: Learning rate after the first epoch.
        schedule: A key of :data:`_SCHEDULES`.
    """
    if step < steps:
        return peak * (step + 1) / steps
    return peak * _SCHEDULES[schedule]((step - steps) / (steps * (epochs - 1)))


_SCHEDULES: dict[str, Callable[[float], float]] = {
    "cosine": lambda progress: (1 + math.cos(math.pi * progress)) / 2,
    "linear": lambda progress: 1 - progress,
    "constant": lambda progress: 1.0,
}


def rates_of_test(steps: int) -> list[float]:
    """Return the learning rates of a range test of that many steps."""
    return [float(rate) for rate in np.geomspace(LOWEST_RATE, HIGHEST_RATE, steps)]


def choose_rate(rates: Sequence[float], losses: NDArray[np.floating]) -> float:
    """Return the learning rate that a range test chooses.

    It is a tenth of the rate at which the smoothed loss is lowest, before it diverges (Smith, 2017, Cyclical learning
    rates for training neural networks, section 3.3).

    Args:
        rates: Learning rate of each step.
        losses: Mean loss of the ranks at each step; not finite where the training diverges.
    """
    smoothed, lowest, best = 0.0, math.inf, 0
    for step, loss in enumerate(losses):
        smoothed = _MEMORY * smoothed + (1 - _MEMORY) * float(loss)
        mean = smoothed / (1 - _MEMORY ** (step + 1))
        if not math.isfinite(mean) or mean > _DIVERGED * abs(lowest):
            break
        if mean < lowest:
            lowest, best = mean, step
    return max(rates[best] / _BELOW_LOWEST, LOWEST_RATE)

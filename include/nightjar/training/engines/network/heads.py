"""What the last layer of a network means for each problem type, and what its training minimizes."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from nightjar.declaration.forecast import Forecast
from nightjar.declaration.network import Network
from nightjar.declaration.problem import Binary, Multiclass, Problem, Regression
from nightjar.problems.arrays import targets
from nightjar.training.data.shards import Shard
from nightjar.training.distributed.collective import sum_over_ranks
from nightjar.training.engines.network.model import Output

if TYPE_CHECKING:
    import torch

    Losses = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]
    """Returns the loss of each row from the last layer (rows, or rows x units) and the labels."""


@dataclass(frozen=True, kw_only=True)
class Head:
    """The last layer of a network.

    Attributes:
        output: Its units, and how they become predictions.
        losses: What training minimizes the mean of.
    """

    output: Output
    losses: Losses


@dataclass(frozen=True)
class _Inputs:
    problem: Any
    engine: Network
    train: Shard
    event_weight: float
    start: Output | None


def head_of(problem: Problem, engine: Network, train: Shard, event_weight: float, start: Output | None) -> Head:
    """Return the head for a problem; all ranks call it, inside the collective.

    Args:
        problem: The problem type.
        engine: Declares the exponent of the focal loss.
        train: This rank's training rows, for mean and scale of the labels.
        event_weight: Weight of a positive row of a binary problem.
        start: Last layer of the network whose training is continued, with its center and scale; None for none.
    """
    return _HEADS[problem.kind](_Inputs(problem, engine, train, event_weight, start))


def _of_binary(inputs: _Inputs) -> Head:
    """Return the log loss, or the focal loss (Lin et al., 2017, Focal loss for dense object detection, equation 4)."""
    import torch
    from torch.nn.functional import binary_cross_entropy_with_logits

    def losses(logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        weight = torch.tensor(inputs.event_weight, device=logits.device)
        of_rows = binary_cross_entropy_with_logits(logits, labels, pos_weight=weight, reduction="none")
        if not inputs.engine.focal_gamma:
            return of_rows
        probability = torch.sigmoid(logits)
        missing = labels * (1 - probability) + (1 - labels) * probability
        return of_rows * missing**inputs.engine.focal_gamma

    return Head(output=Output(link="logistic"), losses=losses)


def _of_classes(inputs: _Inputs) -> Head:
    import torch

    def losses(scores: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        return torch.nn.functional.cross_entropy(scores, labels.long(), reduction="none")

    return Head(output=Output(units=len(inputs.problem.classes), link="softmax"), losses=losses)


def _of_number(inputs: _Inputs) -> Head:
    problem: Regression = inputs.problem
    if problem.loss == "quantile":
        return _of_quantiles(inputs)
    if problem.has_lower_bound:
        center = inputs.start.center if inputs.start else math.log(_moments(inputs.train)[0])
        return Head(output=Output(link="log", center=center), losses=_deviances(problem, math.exp(center)))
    mean, deviation = _standard(inputs)
    return Head(output=Output(center=mean, scale=deviation), losses=_errors(problem, mean, deviation))


def _errors(problem: Regression, mean: float, deviation: float) -> Losses:
    """Return the squared, absolute or Huber loss of standardized labels."""
    from torch.nn import functional

    def losses(numbers: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        standard = (labels - mean) / deviation
        if problem.loss == "huber":
            delta = problem.huber_slope / deviation
            return functional.huber_loss(numbers, standard, reduction="none", delta=delta)
        loss = functional.mse_loss if problem.loss == "squared" else functional.l1_loss
        return loss(numbers, standard, reduction="none")

    return losses


def _deviances(problem: Regression, mean: float) -> Losses:
    """Return half the unit deviance, without terms of the label alone, of labels divided by their mean."""
    import torch

    power = problem.tweedie_power

    def losses(logarithms: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        relative = labels / mean
        if problem.loss == "poisson":
            return torch.exp(logarithms) - relative * logarithms
        growth = torch.exp((2 - power) * logarithms) / (2 - power)
        return growth - relative * torch.exp((1 - power) * logarithms) / (1 - power)

    return losses


def _of_quantiles(inputs: _Inputs) -> Head:
    """Return the mean pinball loss of the quantiles of standardized labels."""
    import torch

    quantiles = inputs.problem.quantiles
    mean, deviation = _standard(inputs)

    def losses(numbers: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        predicted = numbers if numbers.ndim == 2 else numbers[:, None]
        probabilities = torch.tensor(quantiles, device=predicted.device)
        errors = ((labels - mean) / deviation)[:, None] - predicted
        return torch.maximum(probabilities * errors, (probabilities - 1) * errors).mean(dim=1)

    return Head(output=Output(units=len(quantiles), center=mean, scale=deviation), losses=losses)


def _standard(inputs: _Inputs) -> tuple[float, float]:
    """Return mean and scale of the labels, those of the network that is continued if there is one."""
    return (inputs.start.center, inputs.start.scale) if inputs.start else _moments(inputs.train)


def _moments(train: Shard) -> tuple[float, float]:
    """Return mean and standard deviation of the labels over the rows of all ranks; the deviation of constants is 1."""
    labels = [targets(of_batch).astype(np.float64) for _, of_batch in train.batches()]
    rows, total = sum_over_ranks(np.array([sum(map(len, labels)), sum(of_batch.sum() for of_batch in labels)]))
    mean = float(total / rows)
    squares = sum_over_ranks(np.array([sum(((of_batch - mean) ** 2).sum() for of_batch in labels)], dtype=np.float64))
    return mean, float(np.sqrt(squares[0] / rows)) or 1.0


_HEADS: Mapping[str, Callable[[_Inputs], Head]] = {
    Binary.kind: _of_binary,
    Multiclass.kind: _of_classes,
    Regression.kind: _of_number,
    Forecast.kind: _of_quantiles,
}

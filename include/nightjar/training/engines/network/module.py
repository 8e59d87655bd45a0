"""The torch module for training; :mod:`nightjar.training.engines.network.graph` computes the same function."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

from nightjar.training.engines.network.graph import NORM_EPSILON, REACH
from nightjar.training.engines.network.model import Architecture, Output
from nightjar.training.engines.network.rows import BUFFER_ROWS

if TYPE_CHECKING:
    import torch
    from numpy.typing import NDArray

_SPREAD = 0.05  # standard deviation of initial embeddings; that of missing and unknown values starts at 0


def build_module(architecture: Architecture, dropout: float) -> torch.nn.Module:
    """Return a module from encoded rows (rows x features) to the last layer: one number for each row, or rows x units.

    Initial weights depend on torch's seed. Layer normalization (Ba, Kiros and Hinton, Layer Normalization, 2016) keeps
    rows and ranks independent.
    """
    import torch
    from torch import nn

    categorical, numeric = architecture.categorical, architecture.numeric
    widths = [architecture.inputs, *architecture.hidden]

    class Tabular(nn.Module):
        categories: torch.Tensor
        numbers: torch.Tensor
        means: torch.Tensor
        scales: torch.Tensor

        def __init__(self) -> None:
            super().__init__()
            self.embeddings = nn.ModuleList(
                nn.Embedding((architecture.values[column] or 0) + 1, architecture.widths[column])
                for column in categorical
            )
            self.hidden = nn.ModuleList(nn.Linear(inputs, outputs) for inputs, outputs in pairwise(widths))
            self.norms = nn.ModuleList(nn.LayerNorm(width, eps=NORM_EPSILON) for width in architecture.hidden)
            self.drop = nn.Dropout(dropout)
            self.out = nn.Linear(widths[-1], architecture.output.units)
            # not weights: they are part of the architecture
            self.register_buffer("categories", torch.tensor(categorical, dtype=torch.int64), persistent=False)
            self.register_buffer("numbers", torch.tensor(numeric, dtype=torch.int64), persistent=False)
            for name, values in (("means", architecture.means), ("scales", architecture.scales)):
                statistic = torch.tensor([values[column] for column in numeric], dtype=torch.float32)
                self.register_buffer(name, statistic, persistent=False)
            for embedding in self.embeddings:
                nn.init.normal_(embedding.weight, std=_SPREAD)  # type: ignore[arg-type]
                nn.init.zeros_(embedding.weight[0])  # type: ignore[index]

        def forward(self, rows: torch.Tensor) -> torch.Tensor:
            codes = torch.nan_to_num(rows[:, self.categories] + 1, nan=0.0).long()
            parts = [embedding(codes[:, number]) for number, embedding in enumerate(self.embeddings)]
            numbers = rows[:, self.numbers]
            missing = numbers.isnan()
            standard = torch.where(missing, 0.0, (numbers - self.means) / self.scales).clamp(-REACH, REACH)
            values = torch.cat([*parts, standard, missing.to(rows.dtype)], dim=1)
            for linear, norm in zip(self.hidden, self.norms, strict=True):
                values = self.drop(torch.relu(norm(linear(values))))
            units: torch.Tensor = self.out(values)
            return units.squeeze(1) if architecture.output.units == 1 else units

    return Tabular()


def predict_rows(
    module: torch.nn.Module, output: Output, matrix: NDArray[np.float32], device_name: str
) -> NDArray[np.float32]:
    """Return the module's predictions for rows, at most :data:`BUFFER_ROWS` at a time."""
    import torch

    module.eval()
    predictions = []
    with torch.inference_mode():
        for start in range(0, max(len(matrix), 1), BUFFER_ROWS):
            rows = torch.from_numpy(matrix[start : start + BUFFER_ROWS]).to(device_name)
            predictions.append(predictions_of(module(rows), output).cpu().numpy())
    return np.concatenate(predictions)


def predictions_of(units: torch.Tensor, output: Output) -> torch.Tensor:
    """Return the predictions for the last layer's numbers."""
    import torch

    numbers = units * output.scale + output.center
    if output.link == "softmax":
        return torch.softmax(numbers, dim=1)
    if output.link == "log":
        return torch.exp(numbers)
    return torch.sigmoid(numbers) if output.link == "logistic" else numbers


def freeze(module: Any, layers: int) -> None:
    """Freeze the first ``layers`` hidden layers and the embeddings; freeze nothing when ``layers`` is 0."""
    if layers:
        for part in (module.embeddings, module.hidden[:layers], module.norms[:layers]):
            part.requires_grad_(False)


def copied_weights(module: torch.nn.Module) -> dict[str, NDArray[np.float32]]:
    """Return a copy of the current weights, by torch's names."""
    return {name: weight.detach().cpu().numpy().copy() for name, weight in module.state_dict().items()}


def put_weights(module: torch.nn.Module, weights: Mapping[str, NDArray[np.float32]]) -> None:
    """Load the weights into the module."""
    import torch

    module.load_state_dict({name: torch.from_numpy(array) for name, array in weights.items()})

"""The towers: their inputs and layers, the torch module for training, and the ONNX graph for scoring."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from nightjar.declaration.two_tower import TwoTower
from nightjar.training.data.moments import moments
from nightjar.training.data.shards import Shard
from nightjar.training.data.training_set import TrainingSet
from nightjar.training.engines.network import module as network
from nightjar.training.engines.network.graph import GraphBuilder
from nightjar.training.engines.network.model import Architecture, Output
from nightjar.training.engines.onnx_graph import INPUT

if TYPE_CHECKING:
    import torch
    from numpy.typing import NDArray


@dataclass(frozen=True, kw_only=True)
class Tower:
    """One of the towers.

    Attributes:
        columns: Its columns of the encoded rows.
        architecture: Its layers, for these columns; the last one is the vector.
    """

    columns: tuple[int, ...]
    architecture: Architecture


@dataclass(frozen=True, kw_only=True)
class Towers:
    """Both towers.

    Attributes:
        group: The tower of the group.
        item: The tower of the item.
        columns: Number of columns of the encoded rows.
    """

    group: Tower
    item: Tower
    columns: int

    @property
    def scale(self) -> float:
        """Factor of the dot product, which keeps its initial deviation independent of the vectors' width."""
        return 1 / math.sqrt(self.group.architecture.output.units)


def towers_of(declared: TwoTower, training_set: TrainingSet, train: Shard) -> Towers:
    """Return the towers for the features of a training set, with the moments of the rows to fit."""
    features = training_set.features
    names = [feature.name for feature in features]
    means, scales = moments(lambda: (matrix for matrix, _ in train.batches()), features)

    def tower(listed: Sequence[str]) -> Tower:
        columns = tuple(map(names.index, listed))
        architecture = Architecture.of(
            [
                len(training_set.categories[names[column]]) if features[column].kind == "categorical" else None
                for column in columns
            ],
            (means[column] for column in columns),
            (scales[column] for column in columns),
            embedding_width=declared.embedding_width,
            hidden=(declared.width,) * declared.depth,
            output=Output(units=declared.vector_width),
        )
        return Tower(columns=columns, architecture=architecture)

    return Towers(group=tower(declared.group_features), item=tower(declared.item_features), columns=len(features))


def build_module(towers: Towers, dropout: float) -> torch.nn.Module:
    """Return a module from encoded rows (rows x features) to scores. Initial weights depend on torch's seed."""
    import torch
    from torch import nn

    class TwoTowers(nn.Module):
        group_columns: torch.Tensor
        item_columns: torch.Tensor

        def __init__(self) -> None:
            super().__init__()
            self.group = network.build_module(towers.group.architecture, dropout)
            self.item = network.build_module(towers.item.architecture, dropout)
            for name, tower in (("group_columns", towers.group), ("item_columns", towers.item)):
                self.register_buffer(name, torch.tensor(tower.columns, dtype=torch.int64), persistent=False)

        def forward(self, rows: torch.Tensor) -> torch.Tensor:
            group, item = self.group(rows[:, self.group_columns]), self.item(rows[:, self.item_columns])
            scores: torch.Tensor = (group * item).sum(dim=1) * towers.scale
            return scores

    return TwoTowers()


def build_graph(towers: Towers, weights: Mapping[str, NDArray[Any]]) -> bytes:
    """Return the serialized ONNX graph of the same function; equal weights give equal bytes."""
    builder = GraphBuilder(weights)
    vectors = []
    for prefix, tower in (("group.", towers.group), ("item.", towers.item)):
        rows = builder.add("Gather", [INPUT, builder.constant(np.array(tower.columns))], axis=1)
        vectors.append(builder.add_layers(tower.architecture, rows, prefix))
    product = builder.add("ReduceSum", [builder.add("Mul", vectors), builder.constant(np.array([1]))], keepdims=0)
    builder.add("Mul", [product, builder.constant(np.float32(towers.scale))])
    return builder.serialize("two_tower", columns=towers.columns, units=1)

"""One rank's part of a network's training: steps, epochs, scores and the range test."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from nightjar.declaration.network import RANGE_TEST, Network
from nightjar.problems.arrays import targets
from nightjar.protocol.errors import TrainingError
from nightjar.training.data.shards import Shard
from nightjar.training.data.weighting import without_class_weights
from nightjar.training.distributed import device
from nightjar.training.distributed.rendezvous import Group
from nightjar.training.engines.context import TrainingContext
from nightjar.training.engines.network import rows as network_rows
from nightjar.training.engines.network.heads import Head
from nightjar.training.engines.network.model import Output
from nightjar.training.engines.network.module import copied_weights, predict_rows, put_weights
from nightjar.training.engines.network.optimization import TEST_STEPS, choose_rate, rate_of, rates_of_test

if TYPE_CHECKING:
    import torch
    from numpy.typing import NDArray

log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Steps:
    """Steps of an epoch, the same on all ranks.

    Attributes:
        rows: Rows of a batch of this rank.
        batches: Batches of an epoch.
        accumulated: Batches of one step of the optimizer.
    """

    rows: int
    batches: int
    accumulated: int

    @property
    def per_epoch(self) -> int:
        """Steps of the optimizer in an epoch."""
        return self.batches // self.accumulated


@dataclass(frozen=True, kw_only=True)
class Trainer:
    """A network in training on one rank.

    Attributes:
        context: What this rank trains on.
        engine: The declared engine.
        head: Loss and predictions.
        module: The network.
        distributed: The network with gradients averaged over the ranks.
        optimizer: Its optimizer.
        device: Name of the device.
        steps: Steps of an epoch.
    """

    context: TrainingContext
    engine: Network
    head: Head
    module: torch.nn.Module
    distributed: torch.nn.Module
    optimizer: torch.optim.Optimizer
    device: str
    steps: Steps

    def train_epoch(self, number: int, peak: float) -> None:
        """Train the epoch of that number, from 0.

        Raises:
            TrainingError: when a loss is not finite; on all ranks.
        """
        per_epoch, engine = self.steps.per_epoch, self.engine
        first = number * per_epoch
        rates = [rate_of(first + step, per_epoch, engine.epochs, peak, engine.schedule) for step in range(per_epoch)]
        losses = self.train_steps(number, rates)
        _check_losses(losses, self.context.group, number + 1)

    def train_steps(self, number: int, rates: Sequence[float]) -> NDArray[np.float32]:
        """Train one step of the optimizer for each of ``rates``; return this rank's loss of each batch.

        The batches and the dropout are those of the epoch of that number.
        """
        import torch

        seed, rank = self.context.training_set.recipe.seed, self.context.group.contract.rank
        torch.manual_seed(_seed_of(seed, rank, number))  # of dropout
        accumulated, batches = self.steps.accumulated, len(rates) * self.steps.accumulated
        is_weighted = self.context.training_set.recipe.rows.is_weighted
        train = self.context.train
        rows = network_rows.epoch(train, rows=self.steps.rows, steps=batches, seed=[seed, rank, number])
        self.distributed.train()
        losses = torch.empty(batches, device=self.device)  # read at the end, so that a GPU does not wait at each step
        for batch, (matrix, labels, weights) in enumerate(rows):
            loss = self._loss(matrix, targets(labels), weights if is_weighted else None)
            is_last = (batch + 1) % accumulated == 0
            with nullcontext() if is_last else _without_averaging(self.distributed):
                (loss / accumulated).backward()  # type: ignore[no-untyped-call]
            losses[batch] = loss.detach()
            if is_last:
                self._step(rates[batch // accumulated])
        values: NDArray[np.float32] = losses.cpu().numpy()
        return values

    def _loss(
        self, matrix: NDArray[np.float32], labels: NDArray[np.float32], weights: NDArray[np.float32] | None
    ) -> torch.Tensor:
        """Return the mean loss of a batch."""
        import torch

        rows = torch.from_numpy(matrix).to(self.device)
        with torch.autocast("cuda", dtype=torch.bfloat16, enabled=self.device != device.CPU):
            units = self.distributed(rows)
        losses = self.head.losses(units.float(), torch.from_numpy(labels).to(self.device))
        if weights is None:
            return losses.mean()
        of_rows = torch.from_numpy(weights).to(self.device)
        return (losses * of_rows).sum() / of_rows.sum().clamp(min=torch.finfo(torch.float32).tiny)

    def _step(self, rate: float) -> None:
        import torch

        for parameters in self.optimizer.param_groups:
            parameters["lr"] = rate
        torch.nn.utils.clip_grad_norm_(self.distributed.parameters(), self.engine.clip_norm)
        self.optimizer.step()
        self.optimizer.zero_grad()

    def score(self, weights: tuple[float, ...], *, after: str) -> float:
        """Return the validation metric of the current weights; all ranks call it.

        Args:
            weights: Weights of the classes in training.
            after: Last step, for the error.
        """
        labels, outputs = _predict(self.module, self.head.output, self.context.validation, self.device)
        return self.context.metric.over_ranks(labels, without_class_weights(outputs, weights), after=after)

    def find_rate(self) -> float:
        """Return the declared learning rate, or that of a range test, after which the network is as before."""
        if self.engine.learning_rate != RANGE_TEST:
            return float(self.engine.learning_rate)
        weights, group = copied_weights(self.module), self.context.group
        rates = rates_of_test(min(TEST_STEPS, self.steps.per_epoch))
        losses = np.mean(group.exchange(self.train_steps(self.engine.epochs, rates).tolist()), axis=0)
        of_steps = losses.reshape(len(rates), -1).mean(axis=1)
        chosen = choose_rate(rates, of_steps)
        put_weights(self.module, weights)
        self.optimizer.state.clear()
        if group.contract.rank == 0:
            curve = ", ".join(f"{rate:.1e}: {loss:.4f}" for rate, loss in list(zip(rates, of_steps, strict=True))[::10])
            log.info("%s: learning rate %.2g by a range test (rate: loss) %s", self.engine.name, chosen, curve)
        return chosen


def _seed_of(seed: int, rank: int, epoch: int) -> int:
    """Return torch's seed for a training's seed, a rank and an epoch."""
    return int(np.random.SeedSequence([seed, rank, epoch]).generate_state(1)[0])


def _check_losses(losses: NDArray[np.float32], group: Group, epoch: int) -> None:
    """Check that all losses are finite; raise the same error on all ranks, naming the first rank affected."""
    not_finite = np.flatnonzero(~np.isfinite(losses))
    first_steps = group.exchange(int(not_finite[0]) if len(not_finite) else None)
    if affected := [(step, rank) for rank, step in enumerate(first_steps) if step is not None]:
        step, rank = min(affected)
        raise TrainingError(
            f"the loss of rank {rank} is not finite in epoch {epoch}, from step {step + 1} of {len(losses)} on",
            where=f"training.engines of the use case, Network, rank {rank}",
            how_many=len(affected),
            fix="lower learning_rate, and check the features for infinite or very large values",
        )


def _without_averaging(distributed: torch.nn.Module) -> AbstractContextManager[None]:
    """Return the context in which gradients are not averaged over the ranks; nothing for a single rank."""
    no_sync = getattr(distributed, "no_sync", None)
    return no_sync() if no_sync else nullcontext()


def _predict(
    module: torch.nn.Module, output: Output, shard: Shard, device_name: str
) -> tuple[NDArray[np.float32], NDArray[np.float64]]:
    """Return the labels of a shard's rows and the network's current predictions."""
    batches = [(labels, predict_rows(module, output, matrix, device_name)) for matrix, labels in shard.batches()]
    labels, predictions = map(np.concatenate, zip(*batches, strict=True))
    return labels, predictions.astype(np.float64)

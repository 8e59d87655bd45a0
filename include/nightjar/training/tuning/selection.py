"""Feature selection: compare the importance of features with that of random columns (probes).

After Stoppiglia et al. (2003), "Ranking a random feature for variable and feature selection", JMLR 3.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from nightjar.declaration.engines import Boosting, DeclaredEngine
from nightjar.declaration.features import Feature
from nightjar.declaration.training import Selection, Tuning
from nightjar.lake.lake import Lake
from nightjar.protocol.errors import TrainingError
from nightjar.training.data.folds import forward_chain
from nightjar.training.data.shards import Shard, check_counts, read_shard
from nightjar.training.data.training_set import TrainingSet
from nightjar.training.distributed.progress import Progress, silent
from nightjar.training.distributed.rendezvous import Group
from nightjar.training.engines.boosting import fit as boosting
from nightjar.training.engines.context import TrainingContext
from nightjar.training.engines.fitted import Fitted
from nightjar.training.engines.member import outputs_of
from nightjar.training.engines.registry import ENGINES
from nightjar.training.engines.validation import ValidationMetric

if TYPE_CHECKING:
    from numpy.random import Generator
    from numpy.typing import NDArray

BLOCKS = 4
"""Number of blocks of training days; the last block validates, the others train."""


@dataclass(frozen=True, kw_only=True)
class Importances:
    """Importances of one training with probes.

    Attributes:
        features: Feature to its importance: gain, or validation metric lost when its values are permuted.
        best_probe: Importance of the best probe.
    """

    features: Mapping[str, float]
    best_probe: float

    def helps(self, name: str) -> bool:
        """Whether the feature beat every probe."""
        return self.features[name] > self.best_probe


def split_rows(lake: Lake, training_set: TrainingSet, *, where: str) -> tuple[Shard, Shard]:
    """Split the training days into earlier days to train and later days to validate, with a gap between them.

    Raises:
        TrainingError: when there are too few days.
        RowCountError: when the rows differ from the frozen ones.
        StorageFullError: when the scratch disk is full.
    """
    split = training_set.train
    gap_days = (training_set.recipe.tuning or Tuning()).gap(training_set.label_horizon_nights)
    fold = forward_chain(split.days, folds=BLOCKS - 1, gap_days=gap_days, where=where)[-1]
    shard = read_shard(lake, training_set, split)
    check_counts("train", split, shard.rows + shard.left_out, shard.labels, where=where)
    position = {day: batch for batch, day in enumerate(split.days)}
    train = shard.view(position[day] for day in fold.train).rescaled()
    return train, shard.view(position[day] for day in fold.validation)


def measure(
    train: Shard,
    validation: Shard,
    training_set: TrainingSet,
    selection: Selection,
    repeat: int,
    *,
    group: Group,
    threads: int,
) -> Importances:
    """Train boosted trees on the features and on random columns; measure the importance of each.

    Args:
        train: Rows to fit.
        validation: Later rows, for early stopping and permutation.
        training_set: Features and recipe; uses its declared ``Boosting``, or a default one.
        selection: Method and number of probes.
        repeat: Number of the repeat, from 0; each has different random numbers.
        group: A group of this single rank.
        threads: Threads of this rank.

    Raises:
        TrainingError: when the engine fails, or predictions are not finite.
        StorageFullError: when the scratch disk is full.
    """
    names = [feature.name for feature in training_set.features]
    probes = tuple(Feature(f"random_probe_{i}", "numeric", "Random numbers.") for i in range(selection.probes))
    recipe = training_set.recipe
    random = np.random.default_rng([recipe.seed, repeat])
    declared = [engine for engine in recipe.engines if isinstance(engine, Boosting)]
    engine = boosting.for_columns(
        declared[0] if declared else Boosting(), names, [*names, *(probe.name for probe in probes)]
    )
    metric = ValidationMetric.of(recipe)
    validation_with_probes = _with_probes(validation, len(probes), random)
    context = TrainingContext(
        train=_with_probes(train, len(probes), random),
        validation=validation_with_probes,
        training_set=replace(
            training_set,
            features=(*training_set.features, *probes),
            recipe=replace(recipe, seed=recipe.seed + repeat, base=None),
        ),
        group=group,
        threads=threads,
        progress=Progress(engine.name, metric.metric, train.rows, silent, silent),
    )
    fitted = boosting.fit(engine, context)
    columns = [*names, *(probe.name for probe in probes)]
    if selection.method == "gain":
        # total gain: by mean gain, a probe that is used once by chance would rank above a regular feature
        gains = fitted.member.booster.get_score(importance_type="total_gain")  # type: ignore[attr-defined]
        importances = [float(gains.get(column, 0.0)) for column in columns]
    else:
        importances = _metric_lost(fitted, validation_with_probes, metric, random, threads)
    figures = dict(zip(columns, importances, strict=True))
    return Importances(
        features={name: figures[name] for name in names}, best_probe=max(figures[probe.name] for probe in probes)
    )


def features_to_drop(repeats: Sequence[Importances], selection: Selection, *, where: str) -> dict[str, str]:
    """Return the features that beat every probe in at most half of the repeats, each with the reason.

    Raises:
        TrainingError: when these are all features.
    """
    names = list(repeats[0].features)
    unit = "gain" if selection.method == "gain" else "metric lost"
    reasons = {}
    for name in names:
        wins = sum(repeat.helps(name) for repeat in repeats)
        if 2 * wins <= len(repeats):
            mean = sum(repeat.features[name] for repeat in repeats) / len(repeats)
            mean_of_probe = sum(repeat.best_probe for repeat in repeats) / len(repeats)
            summary = f"better in {wins} of {len(repeats)} trainings"
            reasons[name] = f"{unit} {mean:.4g}, of the best random column {mean_of_probe:.4g}; {summary}"
    if len(reasons) == len(names):
        raise TrainingError(
            "no feature helps more than random numbers",
            where=where,
            how_many=len(names),
            fix="check the label and the features, widen the interval, or leave training.selection out",
        )
    return reasons


def drop_features(training_set: TrainingSet, names: Sequence[str]) -> TrainingSet:
    """Return the training set without these features and without the selection in its recipe."""
    names_before = [feature.name for feature in training_set.features]
    features = tuple(feature for feature in training_set.features if feature.name not in names)
    names_after = [feature.name for feature in features]
    engines: tuple[DeclaredEngine, ...] = tuple(
        ENGINES[engine.kind].for_columns(engine, names_before, names_after) for engine in training_set.recipe.engines
    )
    return replace(
        training_set,
        features=features,
        categories={name: values for name, values in training_set.categories.items() if name in names_after},
        recipe=replace(training_set.recipe, engines=engines, selection=None),
    )


def _with_probes(shard: Shard, probes: int, random: Generator) -> Shard:
    """Return the rows with columns of random numbers appended."""
    wider = Shard(columns=shard.columns + probes, count_labels=shard.count_labels)
    for matrix, labels, weights in shard.weighted_batches():
        columns = random.standard_normal((len(labels), probes), dtype=np.float32)
        wider.append(np.ascontiguousarray(np.hstack([matrix, columns])), labels, weights=weights)
    return wider


def _metric_lost(
    fitted: Fitted, validation: Shard, metric: ValidationMetric, random: Generator, threads: int
) -> list[float]:
    """Return by how much the validation metric is worse when a column's values are permuted, for each column."""
    matrices, labels = zip(*validation.batches(), strict=True)
    matrix, target = np.concatenate(matrices), np.concatenate(labels).astype(np.float64)

    def measure_rows(rows: NDArray[np.float32]) -> float:
        return metric.of_rows(target, outputs_of(fitted.member, fitted.card, rows, threads=threads))

    unpermuted = measure_rows(matrix)

    lost = []
    for column in range(validation.columns):
        original = matrix[:, column].copy()
        matrix[:, column] = random.permutation(original)
        lost.append(metric.metric.worse_by(measure_rows(matrix), unpermuted))
        matrix[:, column] = original
    return lost

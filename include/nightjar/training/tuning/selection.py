"""Which features help more than random numbers do: trained beside random columns (probes), and measured against them.

After Stoppiglia et al. (2003), "Ranking a random feature for variable and feature selection", JMLR 3.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from nightjar.declaration.training import Boosting, Engine, Selection, Tuning
from nightjar.declaration.use_case import Feature
from nightjar.protocol.errors import TrainingError
from nightjar.training.data.folds import forward_chain
from nightjar.training.data.shards import Shard, check_counts, read_shard
from nightjar.training.data.training_set import TrainingSet
from nightjar.training.distributed.progress import Progress, silent
from nightjar.training.distributed.rendezvous import Group
from nightjar.training.engines.boosting.fit import boost
from nightjar.training.engines.fitted import Fitted

if TYPE_CHECKING:
    import numpy as np
    from numpy.random import Generator
    from numpy.typing import NDArray

BLOCKS = 4
"""Training days are cut into so many parts; the last judges what those before it train."""


@dataclass(frozen=True, kw_only=True)
class Measured:
    """One training beside probes.

    Attributes:
        features: Feature to its help: gain, or AUC lost when its values are permuted.
        best_probe: The help of the best probe.
    """

    features: Mapping[str, float]
    best_probe: float

    def helps(self, name: str) -> bool:
        """Whether the feature beat every probe."""
        return self.features[name] > self.best_probe


def split_rows(lake: str, training_set: TrainingSet, *, where: str) -> tuple[Shard, Shard]:
    """The first of the training days, and the last, a gap after them; validation and holdout are not touched.

    Raises:
        TrainingError: when there are too few days.
        RowCountError: when the rows read are not those that were frozen.
        StorageFullError: when the scratch disk is full.
    """
    split = training_set.train
    gap_days = (training_set.recipe.tuning or Tuning()).gap_days
    fold = forward_chain(split.days, folds=BLOCKS - 1, gap_days=gap_days, where=where)[-1]
    shard = read_shard(lake, training_set, split)
    check_counts("train", split, shard.rows, shard.positives, where=where)
    position = {day: batch for batch, day in enumerate(split.days)}
    return shard.view(position[day] for day in fold.train), shard.view(position[day] for day in fold.validation)


def measure(
    train: Shard,
    judge: Shard,
    training_set: TrainingSet,
    selection: Selection,
    repeat: int,
    *,
    group: Group,
    threads: int,
) -> Measured:
    """Train boosted trees on the features and on random columns; measure how much each helped.

    Args:
        train: Rows to fit.
        judge: Later rows, by which early stopping decides, and permutation measures.
        training_set: The columns and the recipe; its declared ``Boosting`` is taken, or a default one.
        selection: Method and number of probes.
        repeat: Which of the repeats, from 0; each has other random numbers.
        group: Of this one rank.
        threads: Of this rank.

    Raises:
        TrainingError: when the engine refuses, or predictions are no numbers.
        StorageFullError: when the scratch disk is full.
    """
    import numpy as np

    names = [feature.name for feature in training_set.features]
    probes = tuple(Feature(f"random_probe_{i}", "numeric", "Random numbers.") for i in range(selection.probes))
    recipe = training_set.recipe
    random = np.random.default_rng([recipe.seed, repeat])
    declared = [engine for engine in recipe.engines if isinstance(engine, Boosting)]
    engine = _constrained(declared[0] if declared else Boosting(), names, [*names, *(probe.name for probe in probes)])
    judged = _with_probes(judge, len(probes), random)
    fitted = boost(
        _with_probes(train, len(probes), random),
        judged,
        replace(
            training_set,
            features=(*training_set.features, *probes),
            recipe=replace(recipe, seed=recipe.seed + repeat, base=None),
        ),
        engine,
        group=group,
        threads=threads,
        checkpoints=None,
        progress=Progress(engine.kind, train.rows, silent, silent),
    )
    columns = [*names, *(probe.name for probe in probes)]
    if selection.method == "gain":
        # the sum over all splits: the mean would rank a probe that is split once by chance above a steady feature
        gains = fitted.member.booster.get_score(importance_type="total_gain")  # type: ignore[attr-defined]
        helps = [float(gains.get(column, 0.0)) for column in columns]
    else:
        helps = _auc_lost(fitted, judged, random, threads)
    figures = dict(zip(columns, helps, strict=True))
    return Measured(
        features={name: figures[name] for name in names}, best_probe=max(figures[probe.name] for probe in probes)
    )


def dropped(measured: Sequence[Measured], selection: Selection, *, where: str) -> dict[str, str]:
    """The features that beat the probes in half of the repeats or fewer, each with the figures that say why.

    Raises:
        TrainingError: when that is all of them.
    """
    names = list(measured[0].features)
    unit = "gain" if selection.method == "gain" else "AUC lost"
    reasons = {}
    for name in names:
        wins = sum(one.helps(name) for one in measured)
        if 2 * wins <= len(measured):
            own = sum(one.features[name] for one in measured) / len(measured)
            probe = sum(one.best_probe for one in measured) / len(measured)
            won = f"better in {wins} of {len(measured)} trainings"
            reasons[name] = f"{unit} {own:.4g}, of the best random column {probe:.4g}; {won}"
    if len(reasons) == len(names):
        raise TrainingError(
            "no feature helps more than random numbers do",
            where=where,
            how_many=len(names),
            fix="check the label and the features, widen the interval, or leave training.selection out",
        )
    return reasons


def without(training_set: TrainingSet, names: Sequence[str]) -> TrainingSet:
    """The training set without these features; what was selected is not asked for again."""
    before = [feature.name for feature in training_set.features]
    kept = tuple(feature for feature in training_set.features if feature.name not in names)
    after = [feature.name for feature in kept]
    engines: tuple[Engine, ...] = tuple(
        _constrained(engine, before, after) if isinstance(engine, Boosting) else engine
        for engine in training_set.recipe.engines
    )
    return replace(
        training_set,
        features=kept,
        categories={name: values for name, values in training_set.categories.items() if name in after},
        recipe=replace(training_set.recipe, engines=engines, selection=None),
    )


def _constrained(engine: Boosting, before: Sequence[str], after: Sequence[str]) -> Boosting:
    """The engine for other columns: the constraint of each column goes with it; a new one (a probe) has none."""
    constraints = engine.params.get("monotone_constraints")
    if constraints is None or isinstance(constraints, Mapping):
        kept: Any = constraints and {name: value for name, value in constraints.items() if name in after}
    else:
        listed = constraints.strip("()[] ,").split(",") if isinstance(constraints, str) else constraints
        values = [int(value) for value in listed]
        of_column = dict(zip(before, values, strict=True))
        kept = "(" + ",".join(str(of_column.get(name, 0)) for name in after) + ")"
    return engine if constraints is None else replace(engine, params={**engine.params, "monotone_constraints": kept})


def _with_probes(shard: Shard, probes: int, random: Generator) -> Shard:
    """The rows with columns of random numbers behind their own."""
    import numpy as np

    wider = Shard(columns=shard.columns + probes)
    for matrix, labels in shard.batches():
        columns = random.standard_normal((len(labels), probes), dtype=np.float32)
        wider.append(np.ascontiguousarray(np.hstack([matrix, columns])), labels)
    return wider


def _auc_lost(fitted: Fitted, judge: Shard, random: Generator, threads: int) -> list[float]:
    """AUC on the judging rows less the AUC with a column's values permuted among them, for each column."""
    import numpy as np

    from nightjar.evaluation.metrics import auc

    matrices, labels = zip(*judge.batches(), strict=True)
    matrix, truth = np.concatenate(matrices), np.concatenate(labels).astype(np.float64)

    def measured(rows: NDArray[np.float32]) -> float:
        return auc(truth, fitted.member.predict(rows, threads=threads))

    whole = measured(matrix)
    lost = []
    for column in range(judge.columns):
        own = matrix[:, column].copy()
        matrix[:, column] = random.permutation(own)
        lost.append(whole - measured(matrix))
        matrix[:, column] = own
    return lost

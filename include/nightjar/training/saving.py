"""Save what a training has made: the model, the baseline, compressed models, and the engines' histories."""

from __future__ import annotations

import json
import logging
from dataclasses import dataclass, replace
from datetime import date

from nightjar.declaration.use_case import UseCase
from nightjar.lake import files
from nightjar.problems.binary.calibration import Calibrator
from nightjar.protocol.job import JobSpec
from nightjar.protocol.results import CompressedModelFiles
from nightjar.training import model
from nightjar.training.baselines import FittedBaseline
from nightjar.training.compression import CompressedModel, sizes
from nightjar.training.data.training_set import TrainingSet
from nightjar.training.engines.fitted import Fitted
from nightjar.training.engines.validation import ValidationMetric
from nightjar.training.ensemble.members import Ensemble
from nightjar.training.model import ModelCard, TabularModel

log = logging.getLogger(__name__)

HISTORY_FILE = "history.json"
MODEL = "model"


@dataclass(frozen=True, kw_only=True)
class TrainedModels:
    """The model and its baseline, as trained; the same on each rank.

    Attributes:
        engines: Trained member of each engine.
        ensemble: Weights and calibration of the members.
        baselines: The baselines.
        seen_by_base: Intervals of days that the base was trained and validated on.
    """

    engines: tuple[Fitted, ...]
    ensemble: Ensemble
    baselines: tuple[FittedBaseline, ...]
    seen_by_base: tuple[tuple[date, date], ...]


def save_models(
    spec: JobSpec, use_case: UseCase, training_set: TrainingSet, trained: TrainedModels, profile: str
) -> tuple[TabularModel, dict[str, TabularModel]]:
    """Write the histories, the model and the baselines below ``spec.output``; return the model, and each baseline.

    Args:
        spec: The training's job.
        use_case: The use case.
        training_set: The frozen training set.
        trained: What to save.
        profile: JSON of the profile of the training rows and the predictions.
    """
    history = {fitted.card.name: fitted.history for fitted in trained.engines}
    files.write_text(f"{spec.output}/{HISTORY_FILE}", json.dumps(history))
    card = _card(spec, use_case, training_set, trained)
    members = [fitted.member for fitted in trained.engines]
    full = model.save(f"{spec.output}/{MODEL}", card, members, profile)
    return full, {
        baseline.name: model.save(
            f"{spec.output}/{baseline.name}",
            replace(
                card,
                members=(baseline.card,),
                calibrator=Calibrator(),
                threshold=baseline.threshold,
                validation_score=baseline.card.validation_score,
            ),
            [baseline.member],
            profile,
        )
        for baseline in trained.baselines
    }


def _card(spec: JobSpec, use_case: UseCase, training_set: TrainingSet, trained: TrainedModels) -> ModelCard:
    """Return the model's card, whose members have their weights."""
    ensemble, recipe = trained.ensemble, training_set.recipe
    return ModelCard(
        use_case=use_case.name,
        features=training_set.features,
        categories=training_set.categories,
        label=use_case.target.label,
        prediction=use_case.target.prediction,
        problem=recipe.problem,
        members=tuple(
            replace(fitted.card, weight=weight)
            for fitted, weight in zip(trained.engines, ensemble.weights, strict=True)
        ),
        calibrator=ensemble.calibrator,
        threshold=ensemble.threshold,
        seed=recipe.seed,
        world_size=spec.world_size,
        validation_metric=ValidationMetric.of(recipe).name,
        validation_score=ensemble.validation_score,
        tables=training_set.tables,
        seen=(*trained.seen_by_base, (training_set.train.first, training_set.validation.last)),
    )


def save_compressed(
    spec: JobSpec, full: TabularModel, compressed: CompressedModel, profile: str
) -> CompressedModelFiles:
    """Write a compressed model below ``spec.output``.

    Args:
        spec: The training's job.
        full: The model that it was made from.
        compressed: The compressed model.
        profile: JSON of the profile of the training rows and its predictions.
    """
    uri = f"{spec.output}/{MODEL}-{compressed.name}"
    card = replace(
        full.card,
        members=compressed.cards,
        calibrator=compressed.ensemble.calibrator,
        threshold=compressed.ensemble.threshold,
        validation_score=compressed.ensemble.validation_score,
    )
    members = tuple(fitted.member for fitted in compressed.members)
    saved = model.save(uri, card, members, profile)
    size, full_size = (sum(sizes(each).values()) for each in (members, full.members))
    log.info(
        "%s: validation %s %.4f, %d bytes instead of %d, %.0f rows/s instead of %.0f",
        compressed.name, card.validation_metric, card.validation_score, size, full_size,
        compressed.rows_per_second, compressed.full_rows_per_second,
    )  # fmt: skip
    return CompressedModelFiles(
        model=uri,
        model_sha256=saved.sha256,
        figures={
            "bytes": size,
            "full_bytes": full_size,
            "rows_per_second": compressed.rows_per_second,
            "full_rows_per_second": compressed.full_rows_per_second,
            "validation_score": card.validation_score,
        },
    )

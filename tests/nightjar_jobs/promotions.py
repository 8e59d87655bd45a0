"""Runs on the way from a trained model to a champion. Programs run in this process, ``train`` did not."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from nightjar.lake import files
from nightjar.problems.binary.calibration import Calibrator
from nightjar.protocol.documents import dump_json
from nightjar.protocol.results import CompressedModelFiles
from nightjar.runner import run_program
from nightjar.training.data.training_set import TrainingSet, training_set_uri
from nightjar.training.engines.boosting.model import BoostedTrees
from nightjar.training.model import TabularModel, save
from nightjar_jobs import evaluate, gate, promote, register

PROGRAMS = {"evaluate": evaluate.run, "register": register.run, "gate": gate.run, "promote": promote.run}


def run_programs(run: Any, *programs: str) -> Any:
    """Run programs in order; return the last one's result."""
    for program in programs:
        result = run_program(PROGRAMS[program], run.spec(program))
    return result


def promote_first(start_run: Callable[[str], Any]) -> Any:
    """Promote the first model of a test; return its run."""
    run = start_run("first")
    assert run_programs(run, "evaluate", "register", "gate", "promote").promoted is True
    return run


def register_challenger(start_run: Callable[[str], Any], **metrics: float) -> Any:
    """Register another model, whose evaluation against the champion says ``metrics``; return its run."""
    run = start_run("challenger")
    run_programs(run, "evaluate")
    result = run.result("train")
    trained = dump_json(result).replace(result.spec_fingerprint, run.spec("train").fingerprint)
    Path(f"{run.spec('train').output}/result.json").write_text(trained)
    run_programs(run, "register")
    run.change("evaluate", **metrics)
    return run


def add_smaller_models(run: Any, *, calibrator: Calibrator | None = None, **rounds: int) -> None:
    """Leave smaller models beside the run's, as if its training had: the first ``rounds`` rounds of its trees.

    They have the full model's calibrator, or ``calibrator``.
    """
    result, spec = run.result("train"), run.spec("train")
    full = TabularModel.load(result.model)
    (trees,) = full.members
    assert isinstance(trees, BoostedTrees)
    compressed = {}
    for name, kept in rounds.items():
        uri = f"{spec.output}/model-{name}"
        params = {"eta": 0.5, "num_rounds": kept, "compression": name}
        card = replace(
            full.card,
            members=(replace(full.card.members[0], rounds=kept, params=params),),
            calibrator=calibrator or full.card.calibrator,
        )
        smaller = save(uri, card, [BoostedTrees(trees.booster[:kept])], full.profile)
        figures = {"bytes": 1000, "full_bytes": 9000, "rows_per_second": 5e5, "full_rows_per_second": 1e5}
        compressed[name] = CompressedModelFiles(
            model=uri, model_sha256=smaller.sha256, figures={"validation_score": 0.75, **figures}
        )
    left = replace(result, compressed=compressed)
    files.write_text(f"{spec.output}/result.json", dump_json(left))
    frozen = TrainingSet.of_run(spec)
    declared = replace(frozen, recipe=replace(frozen.recipe, compression=tuple(rounds)))
    files.write_text(training_set_uri(spec), dump_json(declared))

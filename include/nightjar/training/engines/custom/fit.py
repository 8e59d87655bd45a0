"""Train a model of the use case's own by its ``model.py``, on one rank, and hold it to the contract of all engines."""

from __future__ import annotations

import hashlib
import inspect
import logging
from collections.abc import Callable, Sequence
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from traceback import extract_tb
from typing import TYPE_CHECKING, Any

import numpy as np

from nightjar.declaration.custom import Custom
from nightjar.problems.custom_rows import CustomRows
from nightjar.problems.problem_type import ProblemType
from nightjar.protocol.errors import NightjarError, TrainingError, first_line
from nightjar.training.data.weighting import class_weights
from nightjar.training.engines.context import TrainingContext
from nightjar.training.engines.custom.model import FILE, CustomModel, load
from nightjar.training.engines.fitted import Fitted
from nightjar.training.engines.member import Member, MemberCard, outputs_of
from nightjar.training.engines.one_step import fitted_at_once

if TYPE_CHECKING:
    from numpy.typing import NDArray

log = logging.getLogger(__name__)

_CHECKED_ROWS = 1000


def fit(declared: Custom, context: TrainingContext) -> Fitted:
    """Train by the declared function; see :class:`nightjar.training.engines.registry.Engine`.

    Raises:
        TrainingError: when ``model.py`` or the function is missing or fails, or its graph breaks the contract.
    """
    use_case, recipe = context.training_set.use_case, context.training_set.recipe
    where = f"include/use_cases/{use_case}/model.py, {declared.function}"
    function = _function(use_case, declared.function, where)
    rows = _rows(context)
    try:
        graph = function(rows, **declared.params)
    except NightjarError:
        raise
    except Exception as error:  # the use case's own code
        log.exception("%s fails", where)
        raise TrainingError(
            f"the use case's own model fails: {first_line(error)}",
            where=f"{where}, {_line_of(error)}",
            fix="mend model.py, and clear train",
        ) from error
    member = _loaded(graph, where)
    card = MemberCard(
        name=declared.name,
        kind=declared.kind,
        engine=library_version(),
        params={
            **declared.params,
            "function": declared.function,
            "code_sha256": hashlib.sha256(Path(inspect.getfile(function)).read_bytes()).hexdigest(),
        },
        rounds=1,
        validation_score=0.0,
        class_weights=class_weights(recipe),
    )
    _check_outputs(member, rows.validation, context.metric.problem, where)
    outputs = outputs_of(member, card, rows.validation, threads=context.threads)
    score = context.metric.over_ranks(rows.validation_labels, outputs, after=f"{declared.function} of model.py")
    return fitted_at_once(member, replace(card, validation_score=score))


def library_version() -> str:
    """Return what trains it."""
    return "model.py"


def obstacle(declared: Custom, card: MemberCard, member: Member) -> str:
    """Return that it does not continue: a warm start with it is refused when it is declared."""
    return "model.py trains from the start"


def for_columns(declared: Custom, old_columns: Sequence[str], new_columns: Sequence[str]) -> Custom:
    """Return the declaration: it names no columns."""
    return declared


def _function(use_case: str, name: str, where: str) -> Callable[..., Any]:
    """Return the function of the use case's ``model.py``."""
    module = f"use_cases.{use_case}.model"
    try:
        function = getattr(import_module(module), name)
    except (ModuleNotFoundError, AttributeError) as error:
        if isinstance(error, ModuleNotFoundError) and error.name not in (module, module.rpartition(".")[0]):
            raise  # model.py imports something that is not installed
        raise TrainingError(
            f"{use_case} declares Custom, and has no function {name} in model.py",
            where=where,
            fix=f"write `def {name}(rows: CustomRows, ...)`, which returns an ONNX model (docs/training.md)",
        ) from error
    trained: Callable[..., Any] = function
    return trained


def _rows(context: TrainingContext) -> CustomRows:
    """Return this rank's rows, which are all."""
    matrices, labels, weights = map(np.concatenate, zip(*context.train.weighted_batches(), strict=True))
    validation, validation_labels = map(np.concatenate, zip(*context.validation.batches(), strict=True))
    training_set = context.training_set
    return CustomRows(
        matrix=matrices,
        labels=labels,
        weights=weights,
        validation=validation,
        validation_labels=validation_labels,
        features=training_set.features,
        categories=training_set.categories,
        problem=training_set.recipe.problem,
        seed=training_set.recipe.seed,
        threads=context.threads,
    )


def _line_of(error: Exception) -> str:
    """Return the innermost line of ``model.py`` in the traceback."""
    lines = [frame.lineno for frame in extract_tb(error.__traceback__) if frame.filename.endswith("model.py")]
    return f"line {lines[-1]}" if lines else "outside of model.py"


def _loaded(graph: Any, where: str) -> CustomModel:
    """Return the member from an ONNX model, or its bytes."""
    data = graph.SerializeToString(deterministic=True) if hasattr(graph, "SerializeToString") else graph
    if not isinstance(data, bytes):
        raise TrainingError(
            f"the function returns {type(graph).__name__}, not an ONNX model",
            where=where,
            fix="return an onnx.ModelProto, or the bytes of one",
        )
    try:
        return load({FILE: data})
    except Exception as error:  # ONNX Runtime has errors of its own
        what = error.what if isinstance(error, NightjarError) else first_line(error)
        fix = error.fix if isinstance(error, NightjarError) else "check the graph with onnx.checker.check_model"
        raise TrainingError(f"the model cannot be scored: {what}", where=where, fix=fix) from error


def _check_outputs(member: CustomModel, matrix: NDArray[np.float32], problem: ProblemType, where: str) -> None:
    """Check the shape and the range of the outputs, and that a row's outputs do not depend on other rows.

    Raises:
        TrainingError: naming what is wrong.
    """
    import pyarrow as pa

    checked = matrix[:_CHECKED_ROWS]
    outputs = member.predict(checked, threads=1)
    shape = (len(checked),) if problem.units == 1 else (len(checked), problem.units)
    if outputs.shape != shape:
        raise TrainingError(
            f"the model's output has the shape {outputs.shape} for {len(checked)} rows, not {shape}",
            where=where,
            fix="let the graph give one number for each row, or one for each class or quantile",
        )
    if wrong := problem.count_out_of_range(pa.RecordBatch.from_pydict(problem.columns(outputs))):
        raise TrainingError(
            f"of {wrong} of {len(checked)} rows the {problem.out_of_range}",
            where=where,
            how_many=wrong,
            fix="let the graph give the outputs of the problem type (docs/problems.md)",
        )
    reversed_rows = member.predict(np.ascontiguousarray(checked[::-1]), threads=1)[::-1]
    if wrong := int(np.count_nonzero((outputs != reversed_rows).reshape(len(checked), -1).any(axis=1))):
        raise TrainingError(
            f"{wrong} of {len(checked)} rows have other predictions when other rows are beside them",
            where=where,
            how_many=wrong,
            fix="compute each row by itself: no sums, means or sorting over the rows of a batch",
        )

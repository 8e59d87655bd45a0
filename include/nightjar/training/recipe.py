"""The part of a declaration that determines the trained model."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Annotated, Any

from pydantic import PlainSerializer, PlainValidator

from nightjar.declaration.engines import Boosting, DeclaredEngine, engine_from_dict, engine_to_dict
from nightjar.declaration.problem import PROBLEMS, Problem
from nightjar.declaration.rows import Rows
from nightjar.declaration.training import Calibration, Compression, Pruning, Selection, Tuning, bag_name
from nightjar.declaration.use_case import UseCase
from nightjar.protocol.documents import dump_values, load_values

_AsDeclared = (PlainSerializer(engine_to_dict), PlainValidator(engine_from_dict))
"""JSON of an engine: with its kind, and with the kind of each range of its search space."""


def _problem_to_dict(problem: Problem) -> dict[str, Any]:
    return {"kind": problem.kind, **dump_values(problem)}


def _problem_from_dict(document: Mapping[str, Any]) -> Problem:
    values = dict(document)
    problem: Problem = load_values(PROBLEMS[values.pop("kind")], values)
    return problem


DeclaredProblem = Annotated[Problem, PlainSerializer(_problem_to_dict), PlainValidator(_problem_from_dict)]
"""A problem, in JSON with its kind."""


@dataclass(frozen=True, kw_only=True)
class Base:
    """The registered version that a warm start continues from.

    Attributes:
        version: Version of the use case's registered model.
        sha256: Checksum of its model folder in the lake.
        frozen_layers: Number of the network's first hidden layers that are not trained.
    """

    version: str
    sha256: str
    frozen_layers: int


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """How to train on the frozen rows: the use case's :class:`Training` without its resources.

    It is frozen with the rows: a retry after a change of the declaration, and a later reproduction, train the same
    model.
    """

    engines: tuple[Annotated[DeclaredEngine, *_AsDeclared], ...]
    seed: int
    balance_classes: bool
    bags: int
    rows: Rows
    calibration: Calibration
    tuning: Tuning | None
    selection: Selection | None
    base: Base | None
    compression: tuple[Compression, ...]
    pruning: Pruning
    student: Annotated[Boosting, *_AsDeclared]
    problem: DeclaredProblem
    decisive_metric: str

    @classmethod
    def of(cls, use_case: UseCase, base: Base | None = None) -> Recipe:
        """Return the recipe of a use case; ``base`` is the version that a warm start continues from."""
        training = use_case.training
        return cls(
            engines=training.engines,
            seed=training.seed,
            balance_classes=training.balance_classes,
            bags=training.bags,
            rows=training.rows,
            calibration=training.calibration,
            tuning=training.tuning,
            selection=training.selection,
            base=base,
            compression=training.compression,
            pruning=training.pruning,
            student=training.student,
            problem=use_case.problem,
            decisive_metric=use_case.decisive_metric,
        )

    def with_engine(self, engine: DeclaredEngine) -> Recipe:
        """Return the recipe with ``engine`` in place of the engine of its name."""
        return replace(self, engines=tuple(engine if e.name == engine.name else e for e in self.engines))

    @property
    def bagged(self) -> tuple[tuple[DeclaredEngine, Recipe], ...]:
        """Each engine under the name of its member, with the recipe that has the member's seed."""
        return tuple(
            (replace(engine, name=bag_name(engine.name, bag)), replace(self, seed=self.seed + bag))
            for engine in self.engines
            for bag in range(self.bags)
        )

"""The part of a declaration that decides the model's bytes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

from nightjar.declaration.training import (
    Boosting,
    Calibration,
    Compression,
    Cost,
    Engine,
    Pruning,
    Selection,
    Tuning,
    engine_from_dict,
    engine_to_dict,
)
from nightjar.declaration.use_case import UseCase


@dataclass(frozen=True, kw_only=True)
class Base:
    """The registered version that training goes on from.

    Attributes:
        version: Of the use case's registered model.
        sha256: Of its model folder, which lies in the lake as scoring has it.
        frozen_layers: The network's first hidden layers that stay as they are.
    """

    version: str
    sha256: str
    frozen_layers: int


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """What is done with the frozen rows: the use case's :class:`Training` without what only says where it runs.

    Frozen with the rows, so that a retry after a change of the declaration and a reproduction years later train alike.
    """

    engines: tuple[Engine, ...]
    seed: int
    balance_classes: bool
    calibration: Calibration
    tuning: Tuning | None
    selection: Selection | None
    base: Base | None
    compression: tuple[Compression, ...]
    pruning: Pruning
    student: Boosting
    cost: Cost | None

    @classmethod
    def of(cls, use_case: UseCase, base: Base | None = None) -> Recipe:
        training = use_case.training
        return cls(
            engines=training.engines,
            seed=training.seed,
            balance_classes=training.balance_classes,
            calibration=training.calibration,
            tuning=training.tuning,
            selection=training.selection,
            base=base,
            compression=training.compression,
            pruning=training.pruning,
            student=training.student,
            cost=use_case.cost,
        )

    def with_engine(self, engine: Engine) -> Recipe:
        """The same with another engine of that kind."""
        return replace(self, engines=tuple(engine if e.kind == engine.kind else e for e in self.engines))

    def to_dict(self) -> dict[str, Any]:
        """As JSON holds it."""
        engines = [engine_to_dict(engine) for engine in self.engines]
        return {**asdict(self), "engines": engines, "student": engine_to_dict(self.student)}

    @classmethod
    def from_dict(cls, document: Mapping[str, Any]) -> Recipe:
        """What :meth:`to_dict` gave."""
        values = dict(document)
        values["engines"] = tuple(engine_from_dict(engine) for engine in values["engines"])
        values["student"] = engine_from_dict(values["student"])
        values["compression"] = tuple(values["compression"])
        values["pruning"] = Pruning(**values["pruning"])
        for name, kind in (("tuning", Tuning), ("selection", Selection), ("base", Base), ("cost", Cost)):
            values[name] = kind(**values[name]) if values[name] else None
        return cls(**values)

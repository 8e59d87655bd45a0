"""The engine that a use case brings along in its ``model.py``. Standard library only."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, ClassVar

from nightjar.declaration.declared import Declaration, Name, check_value
from nightjar.declaration.features import Feature
from nightjar.declaration.problem import Problem
from nightjar.declaration.spaces import Space, check_space

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


@dataclass(frozen=True, kw_only=True)
class Custom(Declaration):
    """A model of the use case's own: a function in ``include/use_cases/<name>/model.py`` trains it on one rank.

    The function gets the rows of :class:`CustomRows` and the ``params``, and
    returns an ONNX model, which scores. The member is audited, weighted and calibrated like those of other engines.

    Attributes:
        name: Name of the member, of which each model has one.
        function: Name of the function in ``model.py``.
        params: Keyword arguments of the function.
        space: Search ranges of ``params``.
    """

    kind: ClassVar[str] = "custom"
    is_distributed: ClassVar[bool] = False

    name: Name = kind
    function: Name = "fit"
    params: Mapping[str, bool | int | float | str] = field(default_factory=dict)
    space: Space = field(default_factory=dict)

    def check(self) -> None:
        """Check that parameters are names, and the search space."""
        for name in self.params:
            check_value(name, Name, where="a name in Custom.params")
        check_space(self, {name: Any for name in self.params})

    def declared(self) -> Mapping[str, Any]:
        """Return the declared value of each parameter that can be searched."""
        return self.params

    def with_params(self, chosen: Mapping[str, Any]) -> Custom:
        """Return a copy with the ``chosen`` parameter values."""
        return replace(self, params={**self.params, **chosen})


@dataclass(frozen=True, kw_only=True)
class CustomRows:
    """The rows that a model of the use case's own trains on, all in memory.

    Attributes:
        matrix: Rows to fit (rows x features, float32); a category is its position in ``categories``, NaN is missing.
        labels: Their encoded labels: numbers, 0 and 1, or positions of classes.
        weights: Weight of each row, 1 unless ``Training.rows`` says otherwise.
        validation: Rows for early stopping, like ``matrix``.
        validation_labels: Their labels.
        features: Columns of the matrices.
        categories: Categorical feature to its values.
        problem: The declared problem.
        seed: Seed of all random numbers.
        threads: Threads to use.
    """

    matrix: NDArray[np.float32] = field(repr=False)
    labels: NDArray[np.float32] = field(repr=False)
    weights: NDArray[np.float32] = field(repr=False)
    validation: NDArray[np.float32] = field(repr=False)
    validation_labels: NDArray[np.float32] = field(repr=False)
    features: tuple[Feature, ...]
    categories: Mapping[str, tuple[str, ...]]
    problem: Problem
    seed: int
    threads: int

"""The engine that a use case brings along in its ``model.py``. Standard library only."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar

from nightjar.declaration.declared import Declaration, Name, check_value
from nightjar.declaration.spaces import Space, check_space


@dataclass(frozen=True, kw_only=True)
class Custom(Declaration):
    """A model of the use case's own: a function in ``include/use_cases/<name>/model.py`` trains it on one rank.

    The function gets the rows of :class:`nightjar.problems.custom_rows.CustomRows` and the ``params``, and
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

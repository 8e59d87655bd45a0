"""A member whose outputs are columns of the feature table, saved as JSON."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from nightjar.declaration.features import Feature
from nightjar.protocol.documents import dump_json, load_json
from nightjar.training.engines.member import MemberCard

if TYPE_CHECKING:
    from numpy.typing import NDArray

FILE = "columns.json"


@dataclass(frozen=True, kw_only=True)
class Columns:
    """Outputs that are inputs of the model: forecasts of a statistical model, or a number that orders items.

    Attributes:
        names: Names of the columns, one for each output.
        positions: Their positions in the model's matrix.
        missing: Output for a null.
    """

    names: tuple[str, ...]
    positions: tuple[int, ...]
    missing: float

    @classmethod
    def of(cls, names: Sequence[str], features: Sequence[Feature], *, missing: float) -> Columns:
        """Return the member that reads the columns ``names`` of a matrix with these features."""
        order = [feature.name for feature in features]
        return cls(names=tuple(names), positions=tuple(map(order.index, names)), missing=missing)

    def predict(self, matrix: NDArray[np.float32], *, threads: int) -> NDArray[np.float64]:
        """See :meth:`nightjar.training.engines.member.Member.predict`."""
        values = matrix[:, self.positions].astype(np.float64)
        outputs = np.where(np.isnan(values), self.missing, values)
        return outputs[:, 0] if len(self.positions) == 1 else outputs

    def card(self, validation_score: float) -> MemberCard:
        """Return its card."""
        return MemberCard(
            name="columns",
            kind="columns",
            engine="columns",
            params={"columns": ", ".join(self.names)},
            rounds=0,
            validation_score=validation_score,
        )

    def content(self) -> dict[str, bytes]:
        """See :meth:`nightjar.training.engines.member.Member.content`."""
        return {FILE: dump_json(self).encode()}


def load(content: Mapping[str, bytes]) -> Columns:
    """Load the member from a model folder's files."""
    return load_json(Columns, content[FILE])

"""The engines by kind: the one place that knows them all."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from nightjar.declaration.engines import Boosting, Custom, LightGBM, Linear, Network, Statistical, TwoTower
from nightjar.training.engines.boosting import fit as boosting
from nightjar.training.engines.columns import fit as columns
from nightjar.training.engines.context import TrainingContext
from nightjar.training.engines.custom import fit as custom
from nightjar.training.engines.fitted import Fitted
from nightjar.training.engines.lightgbm import engine as lightgbm
from nightjar.training.engines.linear import engine as linear
from nightjar.training.engines.member import Member, MemberCard
from nightjar.training.engines.network import fit as network
from nightjar.training.engines.two_tower import engine as two_tower


class Engine(Protocol):
    """An engine: a module with these functions. ``declared`` is its declaration, of the type with its ``kind``."""

    def fit(self, declared: Any, context: TrainingContext) -> Fitted:
        """Train on the rows of all ranks; every rank calls it, inside the collective.

        Raises:
            ConfigurationError: when the engine's library is not installed.
            TrainingError: when a rank or the engine fails, or predictions are not finite.
            StorageFullError: when a checkpoint cannot be saved.
        """

    def library_version(self) -> str:
        """Return name and version of the engine's library.

        Raises:
            ConfigurationError: when it is not installed.
        """

    def obstacle(self, declared: Any, card: MemberCard, member: Member) -> str:
        """Return why the engine cannot continue from a member of its kind; empty if it can."""

    def for_columns(self, declared: Any, old_columns: Sequence[str], new_columns: Sequence[str]) -> Any:
        """Return the declaration for ``new_columns`` instead of ``old_columns``, e.g. its constraints by position."""


ENGINES: Mapping[str, Engine] = {
    Boosting.kind: boosting,
    LightGBM.kind: lightgbm,
    Linear.kind: linear,
    Network.kind: network,
    Custom.kind: custom,
    Statistical.kind: columns,
    TwoTower.kind: two_tower,
}

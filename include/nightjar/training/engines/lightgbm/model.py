"""Trained trees of LightGBM, in its text format."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from nightjar.protocol.errors import ModelError
from nightjar.training.engines.libraries import import_lightgbm

if TYPE_CHECKING:
    from numpy.typing import NDArray

_PREFIX, _SUFFIX = "lightgbm_", ".txt"
_BEGIN, _END = "tree\nversion=v4\n", "\npandas_categorical:null\n"


@dataclass(frozen=True)
class LightGBMTrees:
    """The trees of a model: one booster, or one for each quantile.

    Attributes:
        texts: Each booster in LightGBM's text format.
        boosters: The boosters (``lightgbm.Booster``).
    """

    texts: tuple[str, ...] = field(repr=False)
    boosters: tuple[Any, ...] = field(repr=False)

    @classmethod
    def from_texts(cls, texts: tuple[str, ...]) -> LightGBMTrees:
        """Return the trees of these texts."""
        lightgbm = import_lightgbm()
        return cls(texts=texts, boosters=tuple(lightgbm.Booster(model_str=text) for text in texts))

    def predict(self, matrix: NDArray[np.float32], *, threads: int) -> NDArray[np.float64]:
        """See :meth:`nightjar.training.engines.member.Member.predict`."""
        outputs = [np.asarray(booster.predict(matrix, num_threads=threads), np.float64) for booster in self.boosters]
        return outputs[0] if len(outputs) == 1 else np.stack(outputs, axis=1)

    def contributions(self, matrix: NDArray[np.float32], *, threads: int) -> NDArray[np.float64]:
        """Return SHAP values of the margin (rows x outputs x features); with the bias, those of a row add up to it."""
        of_boosters = [
            np.asarray(booster.predict(matrix, pred_contrib=True, num_threads=threads), np.float64)
            for booster in self.boosters
        ]
        stacked = np.concatenate(of_boosters, axis=1).reshape(len(matrix), -1, matrix.shape[1] + 1)
        return stacked[..., :-1]

    def gains(self) -> NDArray[np.float64]:
        """Return the total gain of each feature's splits."""
        of_boosters = [booster.feature_importance(importance_type="gain") for booster in self.boosters]
        gains: NDArray[np.float64] = np.sum(of_boosters, axis=0, dtype=np.float64)
        return gains

    def content(self) -> dict[str, bytes]:
        """See :meth:`nightjar.training.engines.member.Member.content`."""
        return {_file(position): text.encode() for position, text in enumerate(self.texts)}


def load(content: Mapping[str, bytes]) -> LightGBMTrees:
    """Load the member from a model folder's files.

    Raises:
        ModelError: when a file is not a complete model of LightGBM: its parser may crash on another.
    """
    count = sum(name.startswith(_PREFIX) and name.endswith(_SUFFIX) for name in content)
    texts = {name: content[name].decode("ascii") for name in map(_file, range(max(1, count)))}
    for name, text in texts.items():
        if not (text.startswith(_BEGIN) and text.endswith(_END)):
            raise ModelError(
                "the file is not a complete model of LightGBM", where=name, fix="train again, or restore it"
            )
    return LightGBMTrees.from_texts(tuple(texts.values()))


def _file(position: int) -> str:
    """Return the name of a booster's file."""
    return f"{_PREFIX}{position}{_SUFFIX}"

"""Loader of a model folder for ``mlflow.pyfunc.load_model``, without pickle."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import numpy as np

from nightjar.training.model import TabularModel

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray


class PyfuncModel:
    """A pyfunc model that predicts probabilities for a pandas frame of features."""

    def __init__(self, model: TabularModel) -> None:
        self._model = model

    def predict(self, model_input: pd.DataFrame, params: dict[str, Any] | None = None) -> NDArray[np.float64]:
        """Return one probability for each row; ``params`` is part of MLflow's interface and not used."""
        import pyarrow as pa

        types = {"numeric": pa.float64(), "categorical": pa.string()}
        schema = pa.schema([(feature.name, types[feature.kind]) for feature in self._model.card.features])
        return self._model.predict(pa.Table.from_pandas(model_input, schema=schema, preserve_index=False))


def _load_pyfunc(path: str) -> PyfuncModel:
    """MLflow's entry point."""
    return PyfuncModel(TabularModel.load(os.path.abspath(path)))

"""MLflow's view of a model folder, so that ``mlflow.pyfunc.load_model`` works on it. No pickle."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from nightjar.training.model import TabularModel

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from numpy.typing import NDArray


class PyfuncModel:
    """Takes a pandas frame of features, gives probabilities."""

    def __init__(self, model: TabularModel) -> None:
        self._model = model

    def predict(self, model_input: pd.DataFrame, params: dict[str, Any] | None = None) -> NDArray[np.float64]:
        """Probabilities, one a row; ``params`` is MLflow's and not used."""
        import pyarrow as pa

        types = {"numeric": pa.float64(), "categorical": pa.string()}
        schema = pa.schema([(feature.name, types[feature.kind]) for feature in self._model.card.features])
        return self._model.predict(pa.Table.from_pandas(model_input, schema=schema, preserve_index=False))


def _load_pyfunc(path: str) -> PyfuncModel:
    """MLflow's entry point."""
    return PyfuncModel(TabularModel.load(os.path.abspath(path)))

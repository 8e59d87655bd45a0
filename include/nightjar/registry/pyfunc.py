"""Loader of a model folder for ``mlflow.pyfunc.load_model``, without pickle."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from nightjar.declaration.problem import columns_of_rows
from nightjar.training.model import TabularModel

if TYPE_CHECKING:
    import pandas as pd


class PyfuncModel:
    """A pyfunc model that predicts for a pandas frame of features."""

    def __init__(self, model: TabularModel) -> None:
        self._model = model

    def predict(self, model_input: pd.DataFrame, params: dict[str, Any] | None = None) -> pd.DataFrame:
        """Return the columns of the prediction for each row, a score without its rank; ``params`` is not used."""
        import pyarrow as pa

        types = {"numeric": pa.float64(), "categorical": pa.string()}
        schema = pa.schema([(feature.name, types[feature.kind]) for feature in self._model.card.features])
        outputs = self._model.predict(pa.Table.from_pandas(model_input, schema=schema, preserve_index=False))
        card = self._model.card
        names = [column.name for column in columns_of_rows(card.problem, card.prediction)]
        predictions: pd.DataFrame = pa.table(self._model.problem.columns(outputs)).select(names).to_pandas()
        return predictions


def _load_pyfunc(path: str) -> PyfuncModel:
    """MLflow's entry point."""
    return PyfuncModel(TabularModel.load(os.path.abspath(path)))

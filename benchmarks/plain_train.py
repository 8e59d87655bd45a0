"""The yardstick of `benchmarks/train.py`: pandas and `xgb.train` in one process, as a person would write it."""

from __future__ import annotations

import json
import sys
import time
from datetime import date, timedelta

import pandas as pd
import xgboost as xgb
from deltalake import DeltaTable

from nightjar.training.distributed.memory import peak_memory


def read(
    lake: str, first: date, last: date, features: list[str], categories: list[str]
) -> tuple[pd.DataFrame, pd.Series]:
    """Rows of the label days from ``first`` to ``last``, joined with the features of the nights before."""
    day = timedelta(days=1)
    x = DeltaTable(f"{lake}/features/synthetic").to_pandas(
        columns=["ds", "id", *features], filters=[("ds", ">=", first - day), ("ds", "<=", last - day)]
    )
    y = DeltaTable(f"{lake}/labels/synthetic").to_pandas(
        columns=["ds", "id", "label"], filters=[("ds", ">=", first), ("ds", "<=", last)]
    )
    y["ds"] -= day
    rows = x.merge(y, on=["ds", "id"])
    for name in categories:
        rows[name] = pd.Categorical(rows[name], categories=[f"v{i:02d}" for i in range(20)])
    return rows[features], rows["label"]


def main() -> None:
    """Read, train, and print one line of JSON."""
    lake, arguments = sys.argv[1], json.loads(sys.argv[2])
    columns = arguments["features"], arguments["categories"]
    began = time.perf_counter()
    days = {
        name: (date.fromisoformat(arguments[name][0]), date.fromisoformat(arguments[name][1]))
        for name in ("train", "validation")
    }
    train = xgb.QuantileDMatrix(*read(lake, *days["train"], *columns), enable_categorical=True)
    validation = xgb.QuantileDMatrix(*read(lake, *days["validation"], *columns), ref=train, enable_categorical=True)
    read_at = time.perf_counter()
    xgb.train(
        {**arguments["params"], "eval_metric": "auc"},
        train,
        arguments["rounds"],
        evals=[(validation, "validation")],
        verbose_eval=False,
    )
    done = time.perf_counter()
    figures = {"read": read_at - began, "train": done - read_at, "peak": peak_memory()}
    print(json.dumps(figures))


if __name__ == "__main__":
    main()

"""Evidently's ``DataDriftPreset`` over two Parquet data sets, in an environment of its own; see `benchmarks/drift.py`.

``drift_evidently.py <reference> <night>``. As its documentation shows it; every column is declared, none is guessed.
"""

import json
import sys
from importlib.metadata import version

import pandas as pd
from evidently import DataDefinition, Dataset, Report
from evidently.presets import DataDriftPreset


def main(reference: str, night: str) -> None:
    """Print the share of drifted columns, and versions."""
    frames = [pd.read_parquet(path, columns=None) for path in (reference, night)]
    names = [name for name in frames[0].columns if name != "ds"]
    numbers = [name for name in names if name.startswith("number_")]
    definition = DataDefinition(
        numerical_columns=numbers, categorical_columns=[name for name in names if name not in numbers]
    )
    then, now = (Dataset.from_pandas(frame[names], data_definition=definition) for frame in frames)
    snapshot = Report([DataDriftPreset()]).run(current_data=now, reference_data=then)
    drifted = next(metric["value"]["count"] for metric in snapshot.dict()["metrics"] if "count" in metric["value"])
    versions = {name: version(name) for name in ("evidently", "pandas", "numpy", "pyarrow")}
    print(json.dumps({"drifted": drifted, "versions": versions}))


if __name__ == "__main__":
    main(*sys.argv[1:])

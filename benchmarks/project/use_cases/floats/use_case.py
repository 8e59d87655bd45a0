"""Twenty floats and 200 trees of depth 6; the declaration that `benchmarks/score.py` scores. Standard library only."""

from __future__ import annotations

from dataclasses import replace

from nightjar.declaration.engines import Boosting
from nightjar.declaration.features import Feature, FeatureSet
from use_cases.synthetic.use_case import USE_CASE as SYNTHETIC

USE_CASE = replace(
    SYNTHETIC,
    name="floats",
    title="Benchmark of scoring",
    features=FeatureSet(columns=tuple(Feature(f"number_{i:02d}", "numeric", "Standard normal.") for i in range(20))),
    training=replace(
        SYNTHETIC.training,
        engines=(Boosting(params={"max_depth": 6, "eta": 0.1}, num_rounds=200, early_stopping_rounds=None),),
    ),
)

"""LightGBM parameters that a use case may declare, each with its allowed values. Standard library only."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from nightjar.declaration.declared import Bounds, Count, CountOrZero, NotNegative, PositiveShare

PARAMETERS: Mapping[str, Any] = {
    "bagging_fraction": PositiveShare,
    "bagging_freq": CountOrZero,
    "cat_l2": NotNegative,
    "cat_smooth": NotNegative,
    "extra_trees": bool,
    "feature_fraction": PositiveShare,
    "feature_fraction_bynode": PositiveShare,
    "lambda_l1": NotNegative,
    "lambda_l2": NotNegative,
    "learning_rate": PositiveShare,
    "max_bin": Annotated[int, Bounds(low=2, high=65_535)],
    "max_cat_threshold": Count,
    "max_depth": CountOrZero,
    "min_data_in_leaf": CountOrZero,
    "min_gain_to_split": NotNegative,
    "min_sum_hessian_in_leaf": NotNegative,
    "num_leaves": Annotated[int, Bounds(low=2, high=131_072)],
    "path_smooth": NotNegative,
}
"""Name to its values. Objective, seed, threads, device and rounds follow from the problem type and the training."""

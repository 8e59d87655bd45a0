"""XGBoost parameters that a use case may declare, each with its allowed values. Standard library only.

A test compares this list with the parameters of the installed XGBoost.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from nightjar.declaration.declared import (
    Bounds,
    Count,
    CountOrZero,
    NotNegative,
    Positive,
    PositiveShare,
    check_choice,
    check_value,
    refuse,
)

Constraints = str | tuple[int, ...] | Mapping[str, int]

PARAMETERS: Mapping[str, Any] = {
    "objective": str,
    "booster": Literal["gbtree"],
    "tree_method": Literal["hist"],
    "eta": PositiveShare,
    "learning_rate": PositiveShare,
    "gamma": NotNegative,
    "min_split_loss": NotNegative,
    "max_depth": CountOrZero,
    "max_leaves": CountOrZero,
    "min_child_weight": NotNegative,
    "max_delta_step": NotNegative,
    "subsample": PositiveShare,
    "sampling_method": Literal["uniform", "gradient_based"],
    "colsample_bytree": PositiveShare,
    "colsample_bylevel": PositiveShare,
    "colsample_bynode": PositiveShare,
    "lambda": NotNegative,
    "reg_lambda": NotNegative,
    "alpha": NotNegative,
    "reg_alpha": NotNegative,
    "grow_policy": Literal["depthwise", "lossguide"],
    "max_bin": Annotated[int, Bounds(low=2)],
    "num_parallel_tree": Count,
    "max_cat_to_onehot": Count,
    "max_cat_threshold": Count,
    "scale_pos_weight": Positive,
    "base_score": float,
    "max_cached_hist_node": Count,
    "monotone_constraints": Constraints,
    "interaction_constraints": str | tuple[tuple[str, ...], ...],
    "verbosity": Annotated[int, Bounds(0, 3)],
}
"""Parameter name to the annotation of its values."""
ALIASES: Mapping[str, str] = {
    "learning_rate": "eta",
    "min_split_loss": "gamma",
    "reg_lambda": "lambda",
    "reg_alpha": "alpha",
}
"""Alias of a parameter to its main name."""
DECIDED: Mapping[str, str] = {
    "seed": "declare Training.seed",
    "random_state": "declare Training.seed",
    "seed_per_iteration": "leave it out: a rerun must draw the same rows",
    "nthread": "declare Training.resources",
    "n_jobs": "declare Training.resources",
    "device": "declare Training.resources",
    "disable_default_eval_metric": "leave it out: the validation metric is measured over all ranks",
    "num_boost_round": "declare Boosting.num_rounds",
    "n_estimators": "declare Boosting.num_rounds",
    "early_stopping_rounds": "declare Boosting.early_stopping_rounds",
    "num_class": "declare Multiclass.classes as the problem",
    "quantile_alpha": "declare Regression.quantiles as the problem",
    "huber_slope": "declare Regression.huber_slope as the problem",
    "tweedie_variance_power": "declare Regression.tweedie_power as the problem",
    "eval_metric": "declare Gate.decisive_metric, which training watches on the validation days",
}
"""Parameters that Nightjar sets itself, each with what to declare instead."""


def check_params(params: Mapping[str, Any], *, where: str) -> None:
    """Check that each parameter is known and has an allowed value.

    Args:
        params: XGBoost parameters, as declared.
        where: Class and field.

    Raises:
        ConfigurationError: for an unknown name, a parameter that Nightjar sets itself, an alias declared beside its
        main
            name, or a value that XGBoost would reject or misread.
    """
    for name, value in params.items():
        check_param(name, where=where)
        check_value(value, PARAMETERS[name], where=f"{where}[{name!r}]")
        if ALIASES.get(name) in params:
            refuse(
                f"{name} is an alias of {ALIASES[name]}, and both are declared",
                where=where,
                fix=f"leave {name} out",
            )


def check_param(name: str, *, where: str) -> None:
    """Check that a use case may declare the parameter.

    Raises:
        ConfigurationError: naming the closest parameter, or what to declare instead.
    """
    if name in DECIDED:
        refuse(f"{name} is not a parameter that a use case declares", where=where, fix=DECIDED[name])
    check_choice(name, PARAMETERS, kind="XGBoost parameter", where=where)

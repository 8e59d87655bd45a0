"""Imports of the engines' libraries: boosted trees without scikit-learn, torch if it is installed."""

from __future__ import annotations

import sys
from importlib import import_module
from importlib.util import find_spec
from types import ModuleType

from nightjar.protocol.errors import ConfigurationError, ModelError


def import_xgboost() -> ModuleType:
    """Import XGBoost without scikit-learn, which only its unused estimator classes need.

    Raises:
        ModelError: when XGBoost is not installed.
    """
    return _import_without_sklearn("xgboost")


def import_lightgbm() -> ModuleType:
    """Import LightGBM without scikit-learn, which only its unused estimator classes need.

    Raises:
        ModelError: when LightGBM is not installed.
    """
    return _import_without_sklearn("lightgbm")


def _import_without_sklearn(name: str) -> ModuleType:
    """Import a library that imports scikit-learn if it is there.

    Importing scikit-learn takes 6 of 7 seconds on a small machine, in every rank, evaluation and Spark worker.
    """
    hidden = not {"sklearn", name} & set(sys.modules)
    if hidden:
        sys.modules["sklearn"] = None  # type: ignore[assignment]
    try:
        return import_module(name)
    except ImportError as error:
        raise ModelError(f"{name} cannot be imported", where=str(error), fix="install the project's lock") from error
    finally:
        if hidden:
            del sys.modules["sklearn"]


def require_torch() -> None:
    """Check that the packages that train and export networks are installed.

    Raises:
        ConfigurationError: naming the packages that are missing.
    """
    missing = [name for name in ("torch", "safetensors", "onnx") if find_spec(name) is None]
    if missing:
        raise ConfigurationError(
            f"a network cannot be trained without {', '.join(missing)}",
            where="training.engines of the use case",
            how_many=len(missing),
            fix="train where the project is installed with its extra `torch` (`make setup-dev`; the training image has "
            "it), or declare neither Network nor TwoTower",
        )

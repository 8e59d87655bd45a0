"""XGBoost, imported cheaply."""

from __future__ import annotations

import sys
from importlib import import_module
from types import ModuleType

from nightjar.contracts.errors import ModelError


def import_xgboost() -> ModuleType:
    """Import XGBoost without scikit-learn, which it would import only for estimator classes that are not used here.

    That import alone takes 6 of 7 seconds on a small machine, and every rank, evaluation and Spark worker pays it.

    Raises:
        ModelError: when XGBoost is not installed.
    """
    hidden = not {"sklearn", "xgboost"} & set(sys.modules)
    if hidden:
        sys.modules["sklearn"] = None  # type: ignore[assignment]
    try:
        return import_module("xgboost")
    except ImportError as error:
        raise ModelError("XGBoost cannot be imported", where=str(error), fix="install the project's lock") from error
    finally:
        if hidden:
            del sys.modules["sklearn"]

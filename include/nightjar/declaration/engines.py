"""The engines that a use case may train, by kind. Standard library only."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from nightjar.declaration.boosting import Boosting
from nightjar.declaration.custom import Custom
from nightjar.declaration.lightgbm import LightGBM
from nightjar.declaration.linear import Linear
from nightjar.declaration.network import Network
from nightjar.declaration.spaces import span_from_dict
from nightjar.declaration.statistical import Statistical
from nightjar.declaration.two_tower import TwoTower

__all__ = [
    "ENGINES",
    "Boosting",
    "Custom",
    "DeclaredEngine",
    "LightGBM",
    "Linear",
    "Network",
    "Statistical",
    "TwoTower",
]

DeclaredEngine = Boosting | Network | LightGBM | Linear | Custom | Statistical | TwoTower
ENGINES: Mapping[str, type[DeclaredEngine]] = {
    engine.kind: engine for engine in (Boosting, Network, LightGBM, Linear, Custom, Statistical, TwoTower)
}


def engine_to_dict(engine: DeclaredEngine) -> dict[str, Any]:
    """Return the engine as JSON values."""
    space = {name: {"range": type(span).__name__, **asdict(span)} for name, span in engine.space.items()}
    return {"kind": engine.kind, **asdict(engine), "space": space}


def engine_from_dict(document: Mapping[str, Any]) -> DeclaredEngine:
    """Return the engine from the result of :func:`engine_to_dict`."""
    values = dict(document)
    kind = values.pop("kind")
    if space := values.pop("space"):
        values["space"] = {name: span_from_dict(**span) for name, span in space.items()}
    if kind == Network.kind:
        values["hidden"] = tuple(values["hidden"])
    if kind == TwoTower.kind:
        values |= {name: tuple(values[name]) for name in ("group_features", "item_features")}
    if kind in (Boosting.kind, LightGBM.kind):
        values["params"] = {name: _as_declared(value) for name, value in values["params"].items()}
    return ENGINES[kind](**values)


def _as_declared(value: Any) -> Any:
    """Turn the lists of JSON into the tuples of a declaration."""
    return tuple(map(_as_declared, value)) if isinstance(value, list) else value

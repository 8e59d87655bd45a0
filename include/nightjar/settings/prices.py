"""Declared prices of a CPU hour and a GPU hour; for estimates, not for bills."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from dataclasses import dataclass

from nightjar.declaration.declared import Declaration, NotNegative
from nightjar.protocol.errors import ConfigurationError


@dataclass(frozen=True, kw_only=True)
class Prices(Declaration):
    """Prices in the deployment's currency.

    Attributes:
        cpu_hour: Price of one core for an hour, including its memory (``NIGHTJAR_PRICE_CPU_HOUR``).
        gpu_hour: Price of one GPU for an hour (``NIGHTJAR_PRICE_GPU_HOUR``).
    """

    cpu_hour: NotNegative
    gpu_hour: NotNegative = 0.0

    @classmethod
    def from_environment(cls, environ: Mapping[str, str] = os.environ) -> Prices | None:
        """Return the declared prices; None when neither is declared.

        Raises:
            ConfigurationError: for a value that is not a price.
        """
        names = {"cpu_hour": "NIGHTJAR_PRICE_CPU_HOUR", "gpu_hour": "NIGHTJAR_PRICE_GPU_HOUR"}
        given = {field: environ[name] for field, name in names.items() if environ.get(name)}
        if not given:
            return None
        return cls(**{"cpu_hour": 0.0} | {field: _price(names[field], text) for field, text in given.items()})

    def cost(self, *, cpu_hours: float, gpu_hours: float) -> float:
        """Return ``cpu_hours * cpu_hour + gpu_hours * gpu_hour``."""
        return cpu_hours * self.cpu_hour + gpu_hours * self.gpu_hour


def _price(name: str, text: str) -> float:
    try:
        price = float(text)
    except ValueError:
        price = math.nan
    if not (math.isfinite(price) and price >= 0):
        raise ConfigurationError(
            f"{text!r} is not a price", where=name, fix="give a number from 0 on, e.g. 0.045, or leave it unset"
        )
    return price

"""Declared prices of a deployment."""

from __future__ import annotations

import pytest

from nightjar.protocol.errors import ConfigurationError
from nightjar.settings.prices import Prices


def test_without_a_declared_price_there_is_none() -> None:
    assert Prices.from_environment({"NIGHTJAR_PRICE_CPU_HOUR": ""}) is None


@pytest.mark.parametrize(
    ("environ", "prices"),
    [
        ({"NIGHTJAR_PRICE_CPU_HOUR": "0.045"}, Prices(cpu_hour=0.045, gpu_hour=0.0)),
        ({"NIGHTJAR_PRICE_GPU_HOUR": "2.5"}, Prices(cpu_hour=0.0, gpu_hour=2.5)),
        ({"NIGHTJAR_PRICE_CPU_HOUR": "0", "NIGHTJAR_PRICE_GPU_HOUR": "2"}, Prices(cpu_hour=0.0, gpu_hour=2.0)),
    ],
)
def test_one_price_alone_leaves_the_other_at_nothing(environ: dict[str, str], prices: Prices) -> None:
    assert Prices.from_environment(environ) == prices


@pytest.mark.parametrize("text", ["cheap", "-1", "nan", "inf"])
def test_an_invalid_price_is_rejected_by_name(text: str) -> None:
    with pytest.raises(ConfigurationError, match="NIGHTJAR_PRICE_GPU_HOUR"):
        Prices.from_environment({"NIGHTJAR_PRICE_GPU_HOUR": text})


def test_a_cost_is_hours_times_prices() -> None:
    assert Prices(cpu_hour=0.5, gpu_hour=3).cost(cpu_hours=4, gpu_hours=2) == 8

from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta

import numpy as np
import pytest
from tests.landed_nights import ORDERS

from nightjar.declaration.data import Source
from nightjar.declaration.rules import NightRule, fresh, like_usual, nulls_at_most, volume
from nightjar.validation.figures import Figures
from nightjar.validation.judged import TABLE, Judged, NightFigures
from nightjar.validation.nights import judge, not_yet

TONIGHT = date(2013, 4, 1)


def figures(
    night: date, *, rows: int = 100, rejected: int = 0, shift: float = 0.0, null_share: float = 0.0, **shares: float
) -> dict[str, Figures]:
    """A night whose amounts are about 50 plus ``shift``, by night a little different."""
    wobble = float(np.random.default_rng(night.toordinal()).normal(0, 0.3))
    center = 50 + shift + wobble
    quantiles = {"p05": center - 16, "p25": center - 7, "p50": center, "p75": center + 7, "p95": center + 16}
    return {
        TABLE: Figures(rows=rows, nulls=rejected),
        "shop": Figures(rows=rows, nulls=0, distinct=len(shares or "NS"), categories=shares or {"N": 0.5, "S": 0.5}),
        "amount": Figures(
            rows=rows, nulls=round(rows * null_share), distinct=rows, mean=center, std=10, minimum=20 + wobble,
            maximum=80, quantiles=quantiles,
        ),
        "placed_at": Figures(rows=rows, nulls=0, distinct=rows, mean=12, std=4 + wobble, minimum=0, maximum=23.5),
    }  # fmt: skip


HISTORY: dict[date, NightFigures] = {
    night: figures(night) for night in (TONIGHT - timedelta(days=i) for i in range(1, 43))
}


def broken(
    tonight: NightFigures, *rules: NightRule, expected_to_vary: tuple[str, ...] = (), history: int = 42
) -> dict[str, Judged]:
    source: Source = replace(ORDERS, night_rules=rules, expected_to_vary=expected_to_vary)
    earlier = {night: HISTORY[night] for night in sorted(HISTORY)[-history:]} if history else {}
    found = judge(source, TONIGHT, tonight, earlier, timezone="UTC")
    return {
        f"{verdict.rule or verdict.figure} {verdict.column}".strip(): verdict for verdict in found if not verdict.kept
    }


def test_an_ordinary_night_is_left_alone() -> None:
    rules = (volume(0.6, 1.6), fresh("placed_at", 3), nulls_at_most("amount", 0.1), like_usual("amount", 0.5))
    assert broken(figures(TONIGHT), *rules) == {}


@pytest.mark.parametrize(
    ("tonight", "found"),
    [
        (figures(TONIGHT, rows=50), {"rows", "distinct amount", "distinct placed_at"}),
        (figures(TONIGHT, rejected=10), {"rejected_share"}),
        (figures(TONIGHT, null_share=0.05), {"null_share amount"}),
        (figures(TONIGHT, shift=30), {"mean amount", "p05 amount", "p50 amount", "p95 amount"}),
        (figures(TONIGHT, N=0.9, S=0.1), {"distance shop"}),
        (figures(TONIGHT, N=0.49, S=0.49, X=0.02), {"distinct shop", "new_category shop"}),
    ],
)
def test_undeclared_anomalies_warn_with_the_expected_range(tonight: NightFigures, found: set[str]) -> None:
    warned = broken(tonight)
    assert found - {"distinct shop"} <= warned.keys() <= found | {"distance shop"}
    assert {anomaly.severity for anomaly in warned.values()} == {"warn"}
    assert all(
        "expected" in text or "none of the last nights" in text for text in (item.what for item in warned.values())
    )


def test_column_expected_to_vary_is_checked_for_missing_values_only() -> None:
    assert broken(figures(TONIGHT, shift=30), expected_to_vary=("amount",)) == {}
    assert broken(figures(TONIGHT, shift=30, null_share=0.1), expected_to_vary=("amount",)).keys() == {
        "null_share amount"
    }


def test_declared_rules_are_judged_by_their_own_bounds() -> None:
    assert broken(figures(TONIGHT, rows=55), volume(0.6, 1.6))["volume"].severity == "stop_night"
    assert "volume" not in broken(figures(TONIGHT, rows=65), volume(0.6, 1.6))
    late = {**figures(TONIGHT), "placed_at": Figures(rows=100, nulls=0, distinct=100, mean=9, std=4, maximum=19)}
    assert broken(late, fresh("placed_at", 3))["placed_at_fresh placed_at"].observed == 5
    assert "amount_nulls amount" in broken(figures(TONIGHT, null_share=0.2), nulls_at_most("amount", 0.1))
    assert "amount_like_usual amount" in broken(figures(TONIGHT, shift=8), like_usual("amount", 0.5))


def test_before_there_are_enough_nights_what_needs_them_is_not_judged() -> None:
    rules = (volume(0.6, 1.6), nulls_at_most("amount", 0.1))
    assert broken(figures(TONIGHT, rows=5, null_share=0.2), *rules, history=13).keys() == {"amount_nulls amount"}
    source = replace(ORDERS, night_rules=rules)
    assert [rule.name for rule in not_yet(source, 13)] == ["volume"]
    assert not_yet(source, 14) == []


def test_a_night_that_repeats_an_earlier_one_is_said_to() -> None:
    earlier = TONIGHT - timedelta(days=9)
    again = broken(dict(HISTORY[earlier]))
    assert again["repeats"].what == f"raw/orders: the night repeats that of {earlier} in amount"


def test_a_night_of_which_every_row_was_rejected_can_still_be_judged() -> None:
    found = broken({TABLE: Figures(rows=100, nulls=100)}, volume(0.6, 1.6), fresh("placed_at", 3))
    assert found.keys() == {"rejected_share"}

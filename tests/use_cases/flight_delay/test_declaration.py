"""The declaration of the use case: what one part says of another still holds."""

from __future__ import annotations

from use_cases.flight_delay.columns import FEATURES, HISTORY, HISTORY_KINDS, WINDOWS
from use_cases.flight_delay.use_case import MONOTONE, USE_CASE


def test_constraints_name_features_that_exist() -> None:
    signs = dict(zip(USE_CASE.feature_names, map(int, MONOTONE.strip("()").split(",")), strict=True))
    assert {name for name, sign in signs.items() if sign < 0} == {"visibility_last", "visibility_low"}
    rising = {name for name, sign in signs.items() if sign > 0}
    assert rising == {"precip_recent", "precip_day", "wind_recent", *(feature.name for feature in HISTORY)}


def test_every_kind_and_window_has_a_rate_and_a_delay() -> None:
    assert {feature.name for feature in HISTORY} == {
        f"{kind}_{name}_{days}d" for kind in HISTORY_KINDS for days in WINDOWS for name in ("late_rate", "delay")
    }


def test_columns_that_move_with_the_calendar_are_left_out_of_drift() -> None:
    unwatched = {feature.name for feature in FEATURES if not feature.drift}
    assert unwatched == {"day_of_week", "origin_departures_day", "temp_last", "dewp_last"}


def test_the_gate_compares_by_a_proper_score_and_asks_for_no_less_than_monitoring() -> None:
    assert USE_CASE.decisive_metric == "log_loss"
    assert USE_CASE.monitoring.retraining is not None
    assert USE_CASE.monitoring.retraining.floor is not None
    assert USE_CASE.gate.floors["auc"] >= USE_CASE.monitoring.retraining.floor

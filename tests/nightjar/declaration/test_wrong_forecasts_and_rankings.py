"""Invalid forecasts and rankings are rejected, with what is wrong, where, and what may be."""

from __future__ import annotations

from dataclasses import replace

import pytest
from tests.nightjar.declaration.refusals import Declare, Wrong, assert_refused, cases, shop

from nightjar.declaration.engines import Boosting, Network, Statistical
from nightjar.declaration.entity import Entity
from nightjar.declaration.features import Feature, FeatureSet
from nightjar.declaration.forecast import Forecast
from nightjar.declaration.gate import Gate
from nightjar.declaration.quantiles import QuantileCost
from nightjar.declaration.ranking import Ranking
from nightjar.declaration.rows import Rows
from nightjar.declaration.rules import between
from nightjar.declaration.scoring import Scoring
from nightjar.declaration.tables import Column
from nightjar.declaration.target import Target
from nightjar.declaration.training import Selection, Training

FORECAST = Forecast(unit="orders", horizon=3, season=7, hierarchy=("shop",))
SERIES = Entity(key=(Column("shop", "string", "Shop.", nullable=False),))
INPUTS = FeatureSet(columns=FORECAST.series_features)
TARGET = Target(label="Orders of the day.", prediction="Median of the orders.", label_horizon_nights=3)
RANKING = Ranking(group=("shop",), item=("number",), popularity="sold", last_seen="amount")
ITEMS = FeatureSet(
    columns=(Feature("amount", "numeric", "Amount."), Feature("sold", "numeric", "Sold lately.")),
    rules=(between("amount", 0, 500, unit="euros"),),
)


def forecast(problem: Forecast = FORECAST, **changed: object) -> Declare:
    """Return a function that declares the small use case with a forecast."""
    given = {
        "problem": problem, "entity": SERIES, "features": INPUTS, "target": TARGET, "gate": Gate(),
        "data": {"history_nights": 14},
    }  # fmt: skip
    return shop(**{**given, **changed})


def ranking(problem: Ranking = RANKING, **changed: object) -> Declare:
    """Return a function that declares the small use case with a ranking."""
    return shop(**{"problem": problem, "features": ITEMS, "gate": Gate(), **changed})


WRONG: dict[str, list[Wrong]] = {
    "forecast": [
        (lambda: replace(FORECAST, horizon=0), "horizon is 0", "Forecast.horizon", "at least 1"),
        (lambda: replace(FORECAST, quantiles=(0.1, 0.9)), "quantiles are", "Forecast.quantiles", "0.5, the prediction"),
        (lambda: replace(FORECAST, models=("ets",)), "seasonal_naive is not", "Forecast.models", "must beat"),
        (lambda: replace(FORECAST, models=("prophet",)), "models[0] is 'prophet'", "Forecast.models", "'arima'"),
        (
            lambda: replace(FORECAST, cost=QuantileCost(under=99, over=1)),
            "the quantile 0.99", "Forecast.cost", "quantiles below and above",
        ),
        (
            forecast(replace(FORECAST, hierarchy=("region",))),
            "unknown column of the entity 'region'", "hierarchy", "shop",
        ),
        (
            forecast(features={"columns": INPUTS.columns[:2]}),
            "features lacks seasonal_naive_q50", "features", "*PROBLEM",
        ),
        (
            forecast(features={"columns": (*INPUTS.columns, Feature("series_scale", "numeric", "Scale."))}),
            "feature series_scale is a column that Nightjar adds", "features", "another name",
        ),
        (
            forecast(target=replace(TARGET, label_horizon_nights=1)),
            "labels land after 1 nights, and the last step is known after 3", "target", "label_horizon_nights=3",
        ),
        (forecast(data={"history_nights": 13}), "the history has 13 nights", "history_nights", "history_nights=14"),
        (
            forecast(replace(FORECAST, horizon=30), target=replace(TARGET, label_horizon_nights=30)),
            "horizon 30 and season 7 needs 30", "history_nights", "history_nights=30",
        ),
        (
            forecast(entity=Entity(key=(Column("step", "string", "Step.", nullable=False),))),
            "column step is one that the problem adds", "entity", "target_date",
        ),
    ],
    "ranking": [
        (lambda: replace(RANKING, group=()), "group is empty", "Ranking.group", "the entity's key"),
        (lambda: replace(RANKING, last_seen="sold"), "feature sold is declared more", "Ranking.last_seen", "once"),
        (lambda: replace(RANKING, k=0), "k is 0", "Ranking.k", "at least 1"),
        (lambda: replace(RANKING, item=()), "item is empty", "Ranking.item", "after the group"),
        (lambda: replace(RANKING, item=("shop",)), "column shop is declared more", "Ranking.item", "once"),
        (
            ranking(replace(RANKING, group=("number",), item=("shop",))),
            "the group is number", "problem.group", "first columns",
        ),
        (
            ranking(replace(RANKING, group=("shop", "number"), item=("amount",))),
            "the key is shop, number", "problem.group", "for the item",
        ),
        (
            ranking(replace(RANKING, item=("amount",))),
            "unknown column of the key after the group 'amount'", "problem.item", "number",
        ),
        (
            ranking(gate=Gate(decisive_metric="catalogue_coverage")),
            "the gate decides by catalogue_coverage", "gate.decisive_metric", "ndcg, map, recall, hit_rate",
        ),
        (ranking(gate=Gate(ceilings={"novelty": 9.0})), "novelty has a ceiling", "gate.ceilings", "a floor"),
        (
            ranking(replace(RANKING, popularity="clicks")),
            "unknown numeric feature 'clicks'", "popularity", "amount, sold",
        ),
    ],
    "slices": [
        (
            ranking(monitoring={"performance": {"slices": ("amount",)}}),
            "slice amount is not a column of the group", "performance.slices", "shop",
        ),
        (
            ranking(monitoring={"performance": {"unit": "shop"}}),
            "a unit is declared, and the intervals of a ranking", "performance.unit", "leave it out",
        ),
        (
            forecast(monitoring={"performance": {"unit": "shpo"}}),
            "unknown column 'shpo'", "performance.unit", "did you mean 'shop'",
        ),
        (ranking(training=Training(rows=Rows(half_life_days=7.0))), "half_life_days cannot be", "shop", "forecast"),
        (
            ranking(training=Training(rows=Rows(weight_column="amount"))),
            "weight_column cannot be", "shop", "forecast",
        ),
    ],
    "options": [
        case
        for declare in (forecast, ranking)
        for case in (
            (declare(training=Training(selection=Selection())), "selection cannot be", "shop", "multiclass"),
            (declare(scoring=Scoring(reason_codes=1)), "reason_codes cannot be", "shop", "for binary"),
            (
                declare(training=Training(engines=(Boosting(params={"objective": "reg:squarederror"}),))),
                "the objective 'reg:squarederror' is not", "training.engines", "leave it out",
            ),
            (declare(gate=Gate(floors={"auc": 0.5})), "unknown metric 'auc'", "gate.floors", "choose from"),
        )
    ] + [
        (
            ranking(training=Training(engines=(Boosting(), Network()))),
            "a Network among the engines cannot be declared for a ranking", "shop", "forecast",
        ),
        (
            ranking(training=Training(engines=(Boosting(), Statistical()))),
            "Statistical among the engines cannot be", "shop", "for forecast",
        ),
    ],
}  # fmt: skip


@pytest.mark.parametrize(("declare", "what", "where", "allowed"), cases(WRONG))
def test_a_wrong_forecast_or_ranking_is_refused(declare: Declare, what: str, where: str, allowed: str) -> None:
    assert_refused(declare, what, where, allowed)


def test_a_forecast_has_a_row_for_each_series_and_step() -> None:
    declared = forecast()()
    assert declared.key == ("shop", "step")
    assert declared.feature_table.column_names[:5] == ("ds", "shop", "step", "target_date", "series_scale")
    assert declared.label_table.column_names == ("ds", "shop", "step", "label", "outcome", "known_at")
    assert declared.score_table.column_names[:8] == (
        "ds", "shop", "step", "target_date", "series_scale", "prediction", "q10", "q50",
    )  # fmt: skip
    assert next(iter(FORECAST.metrics)) == "wql"


def test_a_gate_may_have_floors_of_what_is_listed() -> None:
    declared = ranking(gate=Gate(floors={"catalogue_coverage": 0.2, "novelty": 12.0}))()
    assert declared.decisive_metric == "ndcg"


def test_a_ranking_has_the_rank_of_each_item() -> None:
    declared = ranking()()
    assert declared.key == ("shop", "number")
    assert declared.score_table.column_names[3:5] == ("prediction", "rank")

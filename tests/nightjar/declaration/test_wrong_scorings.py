"""Invalid gates, scorings and monitoring are rejected, with what is wrong, where, and the allowed values."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from typing import Any

import pytest
from tests.nightjar.declaration.refusals import (
    BOUNDED,
    SPLIT,
    Declare,
    Wrong,
    assert_refused,
    cases,
    shop,
)

from nightjar.declaration.engines import Boosting, Network
from nightjar.declaration.experiment import FixedHorizon, Sequential
from nightjar.declaration.gate import Gate
from nightjar.declaration.monitoring import Drift, Monitoring, Performance, Retraining
from nightjar.declaration.problem import Binary, Cost
from nightjar.declaration.scoring import ScoreAudit, Scoring
from nightjar.declaration.training import Training

NAN, INFINITE = float("nan"), float("inf")


def gate(**fields: Any) -> Declare:
    return shop(gate=Gate(**fields))


def retraining(**fields: Any) -> Declare:
    return shop(monitoring=Monitoring(retraining=Retraining(**fields)))


WRONG: dict[str, list[Wrong]] = {
    "gate": [
        (gate(floors={"acu": 0.6}), "unknown metric 'acu'", "UseCase.gate.floors", "did you mean 'auc'"),
        (gate(floors={"log_loss": 0.2}), "log_loss has a floor, and less is better", "gate.floors", "a ceiling"),
        (gate(ceilings={"auc": 0.9}), "auc has a ceiling, and more is better", "gate.ceilings", "give it a floor"),
        (gate(floors={"auc": 60}), "auc 60 cannot be reached", "UseCase.gate.floors", "at least 0 and at most 1"),
        (gate(floors={"auc": -0.1}), "auc -0.1 cannot be reached", "UseCase.gate.floors", "at least 0"),
        (gate(ceilings={"brier": 2}), "brier 2 cannot be reached", "UseCase.gate.ceilings", "at most 1"),
        (lambda: Gate(floors={"auc": NAN}), "['auc'] is nan", "Gate.floors['auc']", "a finite number"),
        (gate(decisive_metric="f1"), "unknown metric 'f1'", "UseCase.gate.decisive_metric", "from: auc"),
        (lambda: Gate(beats=("sometimes",)), "beats[0] is 'sometimes'", "Gate.beats[0]", "'never', 'always'"),
        (
            shop(gate=Gate(beats=("never",))),
            "with never alarming, and the problem is not Binary with costs", "gate.beats", "cost=Cost",
        ),
        (
            shop(problem=Binary(cost=Cost(missed=2, false_alarm=1)), gate=Gate(beats=("never", "never"))),
            "policy never is declared more", "gate.beats", "once",
        ),
        (
            lambda: Gate(floors={}, min_improvement=-0.1),
            "min_improvement is -0.1", "Gate.min_improvement", "at least 0",
        ),
        (
            gate(decisive_metric="auc", min_improvement=2),
            "min_improvement is 2", "UseCase.gate.min_improvement", "below 1",
        ),
        (lambda: Gate(floors={}, min_holdout_rows=0), "min_holdout_rows is 0", "Gate.min_holdout_rows", "at least 1"),
        (
            gate(ceilings={"expected_cost": 3.0}),
            "checks expected_cost, and no cost", "UseCase.gate", "choose from: log_loss, auc, pr_auc",
        ),
        (gate(floors={"recall": 0.5}), "checks recall, and no cost is declared", "UseCase.gate", "declare the cost"),
        (gate(decisive_metric="precision"), "checks precision, and no cost", "UseCase.gate", "declare the cost"),
        (lambda: ScoreAudit(max_mean_shift=-1), "max_mean_shift is -1", "ScoreAudit.max_mean_shift", "at least 0"),
        (
            shop(scoring=Scoring(audit=ScoreAudit(max_mean_shift=5))),
            "max_mean_shift is 5", "scoring.audit.max_mean_shift", "at most 1",
        ),
        (lambda: ScoreAudit(max_rejected_share=5), "max_rejected_share is 5", "ScoreAudit", "at most 1"),
        (lambda: Cost(missed=0, false_alarm=1), "missed is 0", "Cost.missed", "above 0"),
        (lambda: Cost(missed=1, false_alarm=INFINITE), "false_alarm is inf", "Cost.false_alarm", "finite number"),
        (lambda: Cost(missed=1, false_alarm=1, unit=""), "unit is ''", "Cost.unit", "not blank"),
    ],
    "scoring": [
        (lambda: Scoring(reason_codes=-1), "reason_codes is -1", "Scoring.reason_codes", "at least 0"),
        (shop(scoring=Scoring(reason_codes=2)), "2 reason codes are declared for 1", "reason_codes", "at most 1"),
        (
            shop(scoring=Scoring(reason_codes=1), training=Training(engines=(Boosting(), Network()))),
            "Network cannot give them", "UseCase.scoring.reason_codes", "`Linear` alone",
        ),
        (lambda: Scoring(shadow="champion"), "shadow is 'champion'", "Scoring.shadow", "another alias"),
        (lambda: Scoring(shadow="a b"), "shadow is 'a b'", "Scoring.shadow", "lower-case letters"),
        (lambda: Scoring(default_version="v1"), "default_version is 'v1'", "Scoring.default_version", "digits"),
        (shop(scoring=Scoring(experiment=replace(SPLIT, unit=("amount",)))), "unknown column of the", "unit", "number"),
        (
            shop(scoring=Scoring(experiment=replace(SPLIT, metric="cost"))),
            "no cost is declared", "metric", "declare the cost of the problem",
        ),
        (
            lambda: replace(BOUNDED, scoring=Scoring(experiment=replace(SPLIT, first_night=date(2014, 1, 1)))),
            "after the last night 2013-12-31", "experiment.first_night", "from 2013-04-01 to 2013-12-31",
        ),
        (lambda: replace(SPLIT, name="../up"), "name is '../up'", "Experiment.name", "lower-case letters"),
        (lambda: replace(SPLIT, metric="auc"), "metric is 'auc'", "Experiment.metric", "'label', 'brier', 'cost'"),
        (
            lambda: replace(SPLIT, variants={"champion": 1.0}),
            "variants are champion", "half, Experiment", "a challenger",
        ),
        (lambda: replace(SPLIT, variants={"a": 0.5, "b": 0.5}), "variants are a, b", "variants", "`champion`"),
        (
            lambda: replace(SPLIT, variants={"champion": 0.8, "b": 0.3}),
            "the shares are champion 0.8, b 0.3", "Experiment.variants", "1 together",
        ),
        (lambda: replace(SPLIT, variants={"champion": 1.2, "b": -0.2}), "is -0.2", "variants['b']", "above 0"),
        (lambda: replace(SPLIT, variants={"champion": 0.5, "B!": 0.5}), "is 'B!'", "a name in", "lower-case letters"),
        (lambda: Sequential(effect=0), "effect is 0", "Sequential.effect", "above 0"),
        (lambda: Sequential(effect=0.1, alpha=1), "alpha is 1", "Sequential.alpha", "below 1"),
        (lambda: FixedHorizon(units=0), "units is 0", "FixedHorizon.units", "at least 1"),
    ],
    "monitoring": [
        (lambda: Drift(max_psi=-0.1), "max_psi is -0.1", "Drift.max_psi", "at least 0"),
        (lambda: Drift(max_q=0), "max_q is 0", "Drift.max_q", "above 0 and below 1"),
        (lambda: Drift(max_drifted_share=30), "max_drifted_share is 30", "Drift.max_drifted_share", "at most 1"),
        (lambda: Drift(recent_nights=0), "recent_nights is 0", "Drift.recent_nights", "at least 1"),
        (lambda: Performance(matured_after_nights=0), "matured_after_nights is 0", "Performance.mat", "at least 1"),
        (lambda: Performance(min_label_share=0), "min_label_share is 0", "Performance.min_label_share", "above 0"),
        (lambda: Performance(confidence=95), "confidence is 95", "Performance.confidence", "below 1"),
        (lambda: Performance(min_slice_rows=0), "min_slice_rows is 0", "Performance.min_slice_rows", "at least 1"),
        (lambda: Retraining(breaches=8), "breaches 8 of of_nights 7", "Retraining.breaches", "from 1 to of_nights"),
        (lambda: Retraining(breaches=0), "breaches is 0", "Retraining.breaches", "at least 1"),
        (lambda: Retraining(floor=-1), "floor is -1", "Retraining.floor", "at least 0 or None"),
        (retraining(floor=60.0), "auc 60 cannot be reached", "monitoring.retraining.floor", "at most 1"),
        (retraining(ceiling=0.9), "auc has a ceiling", "monitoring.retraining.ceiling", "give it a floor"),
        (lambda: Retraining(max_age_days=0), "max_age_days is 0", "Retraining.max_age_days", "at least 1"),
        (lambda: Retraining(cooldown_days=0), "cooldown_days is 0", "Retraining.cooldown_days", "at least 1"),
        (lambda: Retraining(max_per_month=0), "max_per_month is 0", "Retraining.max_per_month", "at least 1"),
    ],
}  # fmt: skip


@pytest.mark.parametrize(("declare", "what", "where", "allowed"), cases(WRONG))
def test_a_wrong_declaration_is_refused_with_what_where_and_what_may_be(
    declare: Declare, what: str, where: str, allowed: str
) -> None:
    assert_refused(declare, what, where, allowed)

"""The gate promotes what it has seen to be better, and fails where it could not look."""

from __future__ import annotations

import pytest

from nightjar.contracts.errors import GateError
from nightjar.contracts.use_case import Gate
from nightjar.evaluation.verdict import judge

GATE = Gate(floors={"auc": 0.68}, ceilings={"log_loss": 0.6}, min_improvement=0.01, min_holdout_rows=100)


def _metrics(auc: float = 0.7, log_loss: float = 0.5, champion: float | None = None, **more: float) -> dict[str, float]:
    figures = {"holdout_auc": auc, "holdout_log_loss": log_loss, "holdout_rows": 100.0, "holdout_positives": 30.0}
    figures |= {"baseline_holdout_auc": 0.6, "baseline_holdout_rows": 100.0, "baseline_holdout_positives": 30.0}
    if champion is not None:
        figures |= {
            "champion_holdout_auc": champion,
            "champion_holdout_rows": 100.0,
            "champion_holdout_positives": 30.0,
        }
    return figures | more


def test_the_first_model_is_promoted_on_its_floors() -> None:
    verdict = judge(GATE, _metrics(), champion=None)
    assert verdict.decision == "promote"
    assert verdict.reasons == (
        "auc 0.7000 keeps the floor 0.68",
        "log_loss 0.5000 keeps the ceiling 0.6",
        "auc 0.700000 against 0.600000 of the baseline: better by more than 0",
        "there is no champion to beat",
    )


@pytest.mark.parametrize(("auc", "log_loss"), [(0.67, 0.5), (0.7, 0.61)])
def test_a_missed_bound_refuses_without_champion_and_keeps_with_one(auc: float, log_loss: float) -> None:
    assert judge(GATE, _metrics(auc, log_loss), champion=None).decision == "refused"
    assert judge(GATE, _metrics(auc, log_loss, champion=0.5), champion="3").decision == "keep"


def test_a_figure_at_its_bound_keeps_it() -> None:
    assert judge(GATE, _metrics(0.68, 0.6), champion=None).decision == "promote"


@pytest.mark.parametrize(
    ("champion", "decision"),
    [(0.7, "keep"), (0.695, "keep"), (0.75, "keep"), (0.68, "promote")],
    ids=["a tie", "too little", "worse", "better"],
)
def test_the_champion_must_be_beaten_by_more_than_asked(champion: float, decision: str) -> None:
    verdict = judge(GATE, _metrics(0.7, champion=champion), champion="3")
    assert verdict.decision == decision
    assert "champion version 3" in verdict.reasons[-1]


@pytest.mark.parametrize("baseline", [0.7, 0.72])
def test_a_model_that_does_not_beat_the_baseline_is_not_promoted(baseline: float) -> None:
    refused = judge(GATE, _metrics(0.7, baseline_holdout_auc=baseline), champion=None)
    assert refused.decision == "refused"
    assert f"against {baseline:.6f} of the baseline: not better" in refused.reasons[2]
    assert judge(GATE, _metrics(0.7, champion=0.5, baseline_holdout_auc=baseline), champion="3").decision == "keep"


def test_a_tie_does_not_promote_when_no_improvement_is_asked() -> None:
    gate = Gate(floors={}, min_holdout_rows=1)
    assert judge(gate, _metrics(0.7, champion=0.7), champion="1").decision == "keep"
    assert judge(gate, _metrics(0.7, champion=0.6999999), champion="1").decision == "promote"


@pytest.mark.parametrize(
    ("metrics", "champion", "message"),
    [
        ({}, None, "holdout_rows is missing"),
        (_metrics(holdout_rows=99.0), None, "99 rows, fewer than 100"),
        (_metrics(holdout_rows=0.0), None, "0 rows"),
        (_metrics(auc=float("nan")), None, "holdout_auc is nan"),
        ({k: v for k, v in _metrics().items() if k != "holdout_log_loss"}, None, "holdout_log_loss is missing"),
        (_metrics(), "3", "champion_holdout_rows is missing"),
        (_metrics(champion=float("nan")), "3", "champion_holdout_auc is nan"),
        (_metrics(champion=0.5, champion_holdout_rows=101.0), "3", "champion version 3 were not measured on the same"),
        (_metrics(baseline_holdout_positives=31.0), None, "the baseline were not measured on the same holdout"),
        (_metrics(baseline_holdout_auc=float("nan")), None, "baseline_holdout_auc is nan"),
    ],
)
def test_a_gate_that_cannot_look_fails(metrics: dict[str, float], champion: str | None, message: str) -> None:
    with pytest.raises(GateError, match=message):
        judge(GATE, metrics, champion=champion)

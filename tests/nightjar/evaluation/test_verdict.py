"""The gate promotes a better model, and fails when metrics are missing or not comparable."""

from __future__ import annotations

from dataclasses import replace

import pytest
from tests.declarations import with_fields

from nightjar.declaration.gate import Gate
from nightjar.declaration.problem import Binary, Cost
from nightjar.declaration.use_case import load_use_case
from nightjar.evaluation.verdict import choose, judge, note_on_champion
from nightjar.protocol.errors import ConfigurationError, GateError

PROBLEM = Binary(cost=Cost(missed=4, false_alarm=1))
GATE = Gate(
    floors={"auc": 0.68},
    ceilings={"log_loss": 0.6},
    decisive_metric="auc",
    min_improvement=0.01,
    min_holdout_rows=100,
)


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
    verdict = judge(GATE, PROBLEM, _metrics(), champion=None)
    assert verdict.decision == "promote"
    assert verdict.reasons == (
        "auc 0.7000 meets the floor 0.68",
        "log_loss 0.5000 meets the ceiling 0.6",
        "auc 0.700000 against 0.600000 of the baseline: better by more than 0",
        "no champion to compare with",
    )


@pytest.mark.parametrize(("auc", "log_loss"), [(0.67, 0.5), (0.7, 0.61)])
def test_a_missed_bound_refuses_without_champion_and_keeps_with_one(auc: float, log_loss: float) -> None:
    assert judge(GATE, PROBLEM, _metrics(auc, log_loss), champion=None).decision == "refused"
    assert judge(GATE, PROBLEM, _metrics(auc, log_loss, champion=0.5), champion="3").decision == "keep"


@pytest.mark.parametrize(("cost", "decision"), [(1.0, "promote"), (2.0, "refused"), (2.5, "refused"), (3.5, "refused")])
def test_decisions_must_cost_less_than_the_declared_policies(cost: float, decision: str) -> None:
    gate = replace(GATE, beats=("never", "always"))
    figures = {"holdout_expected_cost": cost, "holdout_never_cost": 3.0, "holdout_always_cost": 2.0}
    verdict = judge(gate, PROBLEM, _metrics(**figures), champion=None)
    assert verdict.decision == decision
    less = "" if cost < 2 else "not "
    assert f"cost {cost:.4f} is {less}less than 2.0000 when always alarming" in verdict.reasons
    assert any("3.0000 when never alarming" in reason for reason in verdict.reasons)
    assert judge(GATE, PROBLEM, _metrics(**figures), champion=None).decision == "promote", "only where it is declared"
    with pytest.raises(GateError, match="holdout_always_cost is missing"):
        judge(replace(GATE, beats=("always",)), PROBLEM, _metrics(holdout_expected_cost=1.0), champion=None)


def test_metric_at_its_bound_meets_it() -> None:
    assert judge(GATE, PROBLEM, _metrics(0.68, 0.6), champion=None).decision == "promote"


@pytest.mark.parametrize(
    ("champion", "decision"),
    [(0.7, "keep"), (0.695, "keep"), (0.75, "keep"), (0.68, "promote")],
    ids=["a tie", "too little", "worse", "better"],
)
def test_the_champion_must_be_beaten_by_more_than_asked(champion: float, decision: str) -> None:
    verdict = judge(GATE, PROBLEM, _metrics(0.7, champion=champion), champion="3")
    assert verdict.decision == decision
    assert "champion version 3" in verdict.reasons[-1]


@pytest.mark.parametrize("baseline", [0.7, 0.72])
def test_a_model_that_does_not_beat_the_baseline_is_not_promoted(baseline: float) -> None:
    refused = judge(GATE, PROBLEM, _metrics(0.7, baseline_holdout_auc=baseline), champion=None)
    assert refused.decision == "refused"
    assert f"against {baseline:.6f} of the baseline: not better" in refused.reasons[2]
    assert (
        judge(GATE, PROBLEM, _metrics(0.7, champion=0.5, baseline_holdout_auc=baseline), champion="3").decision
        == "keep"
    )


def test_a_tie_does_not_promote_when_no_improvement_is_asked() -> None:
    gate = Gate(floors={}, decisive_metric="auc", min_holdout_rows=1)
    assert judge(gate, PROBLEM, _metrics(0.7, champion=0.7), champion="1").decision == "keep"
    assert judge(gate, PROBLEM, _metrics(0.7, champion=0.6999999), champion="1").decision == "promote"


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
        (_metrics(champion=0.5, champion_holdout_rows=101.0), "3", "champion version 3 were not evaluated on the same"),
        (_metrics(baseline_holdout_positives=31.0), None, "the baseline were not evaluated on the same holdout"),
        (_metrics(baseline_holdout_auc=float("nan")), None, "baseline_holdout_auc is nan"),
    ],
)
def test_gate_with_missing_or_incomparable_metrics_fails(
    metrics: dict[str, float], champion: str | None, message: str
) -> None:
    with pytest.raises(GateError, match=message):
        judge(GATE, PROBLEM, metrics, champion=champion)


@pytest.mark.parametrize("metric", ["log_loss", "brier", "expected_cost", "calibration_error"])
@pytest.mark.parametrize(("challenger", "decision"), [(0.40, "promote"), (0.44, "keep"), (0.46, "keep")])
def test_of_losses_and_costs_less_is_better(metric: str, challenger: float, decision: str) -> None:
    gate = Gate(floors={}, decisive_metric=metric, min_improvement=0.02, min_holdout_rows=1)
    figures = {f"holdout_{metric}": challenger, f"champion_holdout_{metric}": 0.45, f"baseline_holdout_{metric}": 0.5}
    verdict = judge(gate, PROBLEM, _metrics(champion=0.9) | figures, champion="3")
    assert verdict.decision == decision
    worse_than_baseline = figures | {f"baseline_holdout_{metric}": challenger - 0.01}
    assert judge(gate, PROBLEM, _metrics() | worse_than_baseline, champion=None).decision == "refused"


def test_costs_are_a_ceiling_and_must_be_declared() -> None:
    gate = replace(GATE, ceilings={"expected_cost": 30.0})
    assert judge(gate, PROBLEM, _metrics(holdout_expected_cost=29.0), champion=None).decision == "promote"
    assert judge(gate, PROBLEM, _metrics(holdout_expected_cost=31.0), champion=None).decision == "refused"
    with pytest.raises(ConfigurationError, match="no cost is declared"):
        with_fields(load_use_case("flight_delay"), gate=gate, problem={"cost": None})


def size(of_model: float, speed: float) -> dict[str, float]:
    """Size and speed of a smaller model, in shares of the full one's."""
    full = {"full_bytes": 1000.0, "full_rows_per_second": 1000.0}
    return {"bytes": 1000.0 * of_model, "rows_per_second": 1000.0 * speed, **full}


SMALL = size(0.4, 1.0)


def _smaller(name: str, auc: float, log_loss: float = 0.5) -> dict[str, float]:
    figures = {"auc": auc, "log_loss": log_loss, "rows": 100.0, "positives": 30.0}
    return {f"{name}_holdout_{metric}": value for metric, value in figures.items()}


@pytest.mark.parametrize(
    ("int8", "pruned", "champion", "chosen", "decisions"),
    [
        (0.699, 0.7, None, "int8", ("passed_over", "promote", "passed_over")),
        (0.697, 0.71, None, "pruned", ("passed_over", "passed_over", "promote")),
        (0.69, 0.69, None, "full", ("promote", "passed_over", "passed_over")),
        (0.6, 0.69, None, "full", ("promote", "refused", "passed_over")),
        (0.699, 0.7, 0.72, "full", ("keep", "keep", "keep")),
        (0.699, 0.7, 0.6895, "pruned", ("keep", "keep", "promote")),
    ],
    ids=[
        "the first declared",
        "a better second",
        "too great losses",
        "a missed floor",
        "a better champion",
        "a margin",
    ],
)
def test_the_first_smaller_model_that_passes_and_loses_little_is_chosen(
    int8: float, pruned: float, champion: float | None, chosen: str, decisions: tuple[str, ...]
) -> None:
    full = 0.6994 if champion == 0.6895 else 0.7
    metrics = _metrics(full, champion=champion) | _smaller("int8", int8) | _smaller("pruned", pruned)
    version = "3" if champion else None
    choice = choose(GATE, PROBLEM, metrics, {"int8": SMALL, "pruned": SMALL}, champion=version, max_loss=0.002)
    assert choice.name == chosen
    assert tuple(verdict.decision for verdict in choice.verdicts.values()) == decisions
    assert choice.verdict == choice.verdicts[chosen]


def test_without_compressed_models_the_full_one_is_judged() -> None:
    choice = choose(GATE, PROBLEM, _metrics(), {}, champion=None, max_loss=0.002)
    assert (choice.name, choice.verdict) == ("full", judge(GATE, PROBLEM, _metrics(), champion=None))


def test_loss_of_a_compressed_model_is_in_the_reasons() -> None:
    metrics = _metrics() | _smaller("int8", 0.695)
    choice = choose(GATE, PROBLEM, metrics, {"int8": SMALL}, champion=None, max_loss=0.002)
    assert choice.verdicts["int8"].reasons[-3:] == (
        "auc worse than the full model's by 0.005000: beyond 0.002",
        "400 bytes against the full model's 1,000, 1,000 rows/s against 1,000: worth it "
        "(at least 1.25 times better in one, 0.9 in the other)",
        "the full model is preferred",
    )
    by_loss = replace(GATE, decisive_metric="log_loss", min_improvement=0.0)
    lower = metrics | _smaller("int8", 0.695, log_loss=0.501) | {"baseline_holdout_log_loss": 0.6}
    assert choose(by_loss, PROBLEM, lower, {"int8": SMALL}, champion=None, max_loss=0.002).name == "int8"


def test_a_smaller_model_that_was_not_measured_fails() -> None:
    with pytest.raises(GateError, match="int8_holdout_rows is missing"):
        choose(GATE, PROBLEM, _metrics(), {"int8": SMALL}, champion=None, max_loss=0.002)


@pytest.mark.parametrize(
    ("of_model", "speed", "chosen"),
    [
        (0.95, 0.5, "full"),
        (0.4, 1.0, "int8"),
        (0.4, 0.91, "int8"),
        (0.4, 0.5, "full"),
        (1.0, 2.0, "int8"),
        (1.05, 2.0, "int8"),
        (2.0, 3.0, "full"),
        (0.95, 1.1, "full"),
        (1.0, 1.0, "full"),
        (0.8, 1.0, "int8"),
        (0.81, 1.24, "full"),
    ],
)
def test_a_smaller_model_is_promoted_when_size_or_speed_gain_what_the_other_does_not_lose(
    of_model: float, speed: float, chosen: str
) -> None:
    metrics = _metrics() | _smaller("int8", 0.7)
    choice = choose(GATE, PROBLEM, metrics, {"int8": size(of_model, speed)}, champion=None, max_loss=0.002)
    assert choice.name == chosen
    assert ("not worth it" in " ".join(choice.verdicts["int8"].reasons)) == (chosen == "full")


@pytest.mark.parametrize("figure", ["bytes", "rows_per_second", "full_bytes", "full_rows_per_second"])
def test_a_smaller_model_without_size_or_speed_is_not_judged(figure: str) -> None:
    figures = {name: value for name, value in SMALL.items() if name != figure}
    metrics = _metrics() | _smaller("int8", 0.7)
    with pytest.raises(GateError, match=f"figure {figure} of the int8 model is missing"):
        choose(GATE, PROBLEM, metrics, {"int8": figures}, champion=None, max_loss=0.002)


@pytest.mark.parametrize(
    ("seen", "note"),
    [
        (0, ""),
        (None, "the training days of champion version 3 are not known: it may have seen the holdout"),
        (5, "champion version 3 was trained on 5 of the 14 holdout days"),
    ],
)
def test_a_champion_that_has_seen_the_holdout_is_named_in_the_verdict(seen: int | None, note: str) -> None:
    said = note_on_champion("3", seen=seen, holdout_days=14)
    assert said.startswith(note)
    assert bool(said) == bool(note)
    metrics = _metrics(champion=0.9) | _smaller("int8", 0.7)
    choice = choose(GATE, PROBLEM, metrics, {"int8": SMALL}, champion="3", max_loss=0.002, note=said)
    for verdict in choice.verdicts.values():
        assert verdict.decision == "keep"
        assert (said in verdict.reasons) == bool(note)

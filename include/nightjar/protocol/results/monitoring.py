"""Results of the programs that monitor published nights."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import ClassVar, Literal

from nightjar.protocol.incidents import Notification, RetrainingDecision
from nightjar.protocol.job import JobResult


@dataclass(frozen=True, kw_only=True)
class CheckSkewResult(JobResult):
    """Result of ``check_skew``.

    Attributes:
        verdict: Worst verdict of the nights.
        skewed_columns: Columns whose training values would differ from the served ones.
        changed_columns: Columns whose history changed after the night was scored.
        checked_nights: Nights that were compared.
    """

    PROGRAM: ClassVar = "check_skew"
    verdict: Literal["skew", "history_changed", "same", "not_judged"]
    skewed_columns: tuple[str, ...]
    changed_columns: tuple[str, ...]
    checked_nights: tuple[date, ...]


@dataclass(frozen=True, kw_only=True)
class NightDriftResult:
    """Drift of one night.

    Attributes:
        verdict: ``drift`` or ``stable``.
        report: URI of its page.
        drifted_columns: Monitored columns that drifted.
    """

    verdict: Literal["drift", "stable"]
    report: str
    drifted_columns: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class ReportDriftResult(JobResult):
    """Result of ``report_drift``.

    Attributes:
        verdict: ``drift`` when at least one night drifted.
        report: URI of the last night's page.
        drifted_columns: Monitored columns that drifted on at least one night.
        nights: Night to its drift.
        notes: What could not be measured, and why.
    """

    PROGRAM: ClassVar = "report_drift"
    verdict: Literal["drift", "stable"]
    report: str
    drifted_columns: tuple[str, ...]
    nights: Mapping[date, NightDriftResult]
    notes: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class NightPerformance:
    """Performance as judged by one night's run.

    Attributes:
        verdict: ``judged``, ``not_judged`` (too few labels) or ``nothing_yet`` (no night has mature labels).
        judged_night: Scored night whose labels have matured; None when no night has mature labels.
        summary: Verdict and headline of the report.
        findings: Subjects of the findings.
    """

    verdict: str
    judged_night: date | None
    summary: str
    findings: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class ReportPerformanceResult(JobResult):
    """Result of ``report_performance``.

    Attributes:
        last: Performance as judged by the last night's run.
        nights: Night to the performance as judged by its run.
    """

    PROGRAM: ClassVar = "report_performance"
    last: NightPerformance
    nights: Mapping[date, NightPerformance]


@dataclass(frozen=True, kw_only=True)
class ReportExperimentResult(JobResult):
    """Result of ``report_experiment``.

    Attributes:
        verdicts: Challenger to its verdict.
        nights_without_new_units: Nights that added no new unit to the experiment.
        report: URI of the page.
    """

    PROGRAM: ClassVar = "report_experiment"
    verdicts: Mapping[str, str]
    nights_without_new_units: tuple[date, ...]
    report: str


@dataclass(frozen=True, kw_only=True)
class ReactResult(JobResult):
    """Result of ``react``.

    Attributes:
        notifications: One for each incident of the last night.
        retrain: Decision on a retraining, with its reason.
    """

    PROGRAM: ClassVar = "react"
    notifications: tuple[Notification, ...]
    retrain: RetrainingDecision

"""The drift report: one self-contained HTML page per night, the verdict first."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from functools import cache
from urllib.parse import quote

from jinja2 import Environment

from nightjar.monitoring.data_quality.rejections import Rejection
from nightjar.monitoring.data_quality.volumes import Volume
from nightjar.monitoring.drift import onset as since
from nightjar.monitoring.drift import plots
from nightjar.monitoring.drift import wording as words
from nightjar.monitoring.drift.comparison import ColumnDrift, NightDrift
from nightjar.monitoring.drift.domain import Domain
from nightjar.monitoring.drift.table import PastNight
from nightjar.monitoring.drift.windows import ColumnWindows
from nightjar.monitoring.profiles.reference import LABEL, PREDICTION
from nightjar.monitoring.reporting import pages

CARDS = 6
"""Columns shown with a plot of their own; the table holds all."""


@dataclass(frozen=True, kw_only=True)
class Report:
    """What the page shows.

    Attributes:
        title: The use case, for people.
        use_case: Its name.
        night: The night compared.
        drift: The comparison.
        before: Column to how the night compares with those before it, and its week with training.
        domain: How well the night is told from training by all columns; None when that was not looked at.
        comments: Column to its meaning.
        model_name: Registered model.
        model_version: Its version.
        model_sha256: SHA-256 of its files.
        volumes: Rows per table.
        rejections: What went to quarantine, by rule.
        unusual: What was wrong with the night's data, a sentence each, the worst first; None when nobody has looked.
        history: Earlier nights, oldest first.
        notes: What the reader must know besides.
        mlflow_uri: Address of the model registry; empty when there is none.
        git_commit: Commit of the code that ran.
        run_id: Airflow run.
        table_versions: Tables read, each with its Delta version.
    """

    title: str
    use_case: str
    night: date
    drift: NightDrift
    before: Mapping[str, ColumnWindows]
    domain: Domain | None = None
    comments: Mapping[str, str] = field(default_factory=dict)
    model_name: str
    model_version: str
    model_sha256: str
    volumes: Sequence[Volume] = ()
    rejections: Sequence[Rejection] = ()
    unusual: Sequence[str] | None = None
    history: Sequence[PastNight] = ()
    notes: Sequence[str] = ()
    mlflow_uri: str = ""
    git_commit: str = "unknown"
    run_id: str
    table_versions: Mapping[str, int] = field(default_factory=dict)

    @property
    def prediction(self) -> ColumnDrift | None:
        """The prediction's comparison; None when the reference holds none."""
        return self.drift.by_name.get(PREDICTION)

    @property
    def outcomes(self) -> Mapping[str, ColumnDrift]:
        """Heading to the comparison of what is no feature: the prediction and the labels that landed."""
        found = {"The prediction": PREDICTION, "The label": LABEL}
        return {title: self.drift.by_name[name] for title, name in found.items() if name in self.drift.by_name}

    @property
    def cards(self) -> Sequence[ColumnDrift]:
        """Features to show with a plot: the worst that moved, or the three nearest to it."""
        moved = [c for c in self.drift.drifted if c.name not in (PREDICTION, LABEL)]
        return moved[:CARDS] or [c for c in self.drift.watched if c.name not in (PREDICTION, LABEL)][:3]

    @property
    def model_link(self) -> str:
        """The version's page in MLflow."""
        if not self.mlflow_uri.startswith(("http://", "https://")):
            return ""
        name, version = quote(self.model_name, safe=""), quote(self.model_version, safe="")
        return f"{self.mlflow_uri}/#/models/{name}/versions/{version}"


def render(report: Report) -> str:
    """The page as HTML; the same report gives the same bytes."""
    script = pages.read("drift.js")
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    return (
        _environment()
        .get_template("drift.html.j2")
        .render(
            report=report,
            drift=report.drift,
            limits=report.drift.thresholds,
            script=script,
            script_sha256=digest,
        )
    )


@cache
def _environment() -> Environment:
    return pages.environment(
        {
            "headline": words.headline,
            "contrast": words.contrast,
            "strength": words.strength,
            "changes": words.changes,
            "means": words.means,
            "moved_by": words.moved_by,
            "since": since.since,
            "week": since.week,
            "week_nights": since.week_nights,
            "told_apart": since.told_apart,
            "plot": plots.plot,
            "psi_plot": plots.psi_plot,
            "shares_plot": plots.shares_plot,
            "tally": plots.tally,
            "thumbnail": plots.thumbnail,
            "history_plot": plots.history_plot,
            "rows_plot": plots.rows_plot,
        }
    )

"""The drift report: one self-contained HTML page per night."""

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
from nightjar.monitoring.drift import onset, plots
from nightjar.monitoring.drift import wording as words
from nightjar.monitoring.drift.comparison import ColumnDrift, NightDrift
from nightjar.monitoring.drift.domain import Domain
from nightjar.monitoring.drift.table import PastNight
from nightjar.monitoring.drift.windows import ColumnWindows
from nightjar.monitoring.profiles.reference import LABEL, PREDICTION
from nightjar.monitoring.reporting import pages
from nightjar.monitoring.reporting.origin import ReportOrigin

CARDS = 6
"""Maximum number of columns with a plot of their own; the table has all columns."""


@dataclass(frozen=True, kw_only=True)
class Report:
    """Contents of the page.

    Attributes:
        title: Title of the use case.
        use_case: Name of the use case.
        night: The night.
        drift: Comparison of the night with the training set.
        windows: Column to its comparison with earlier nights.
        domain: Result of the domain classifier; None when it was not run.
        comments: Column to its meaning.
        model_name: Registered model.
        model_version: Version of the model.
        model_sha256: SHA-256 of the model files.
        volumes: Rows per table.
        rejections: Quarantined rows by rule.
        warnings: Problems with the night's data, one sentence each, the worst first; None when it was not checked.
        history: Results of earlier nights, oldest first.
        notes: Notes at the top of the page.
        mlflow_uri: Address of the model registry; empty for none.
        origin: Code, run and tables of the report.
    """

    title: str
    use_case: str
    night: date
    drift: NightDrift
    windows: Mapping[str, ColumnWindows]
    domain: Domain | None = None
    comments: Mapping[str, str] = field(default_factory=dict)
    model_name: str
    model_version: str
    model_sha256: str
    volumes: Sequence[Volume] = ()
    rejections: Sequence[Rejection] = ()
    warnings: Sequence[str] | None = None
    history: Sequence[PastNight] = ()
    notes: Sequence[str] = ()
    mlflow_uri: str = ""
    origin: ReportOrigin

    @property
    def prediction(self) -> ColumnDrift | None:
        """Comparison of the prediction; None when the reference has none."""
        return self.drift.by_name.get(PREDICTION)

    @property
    def outcomes(self) -> Mapping[str, ColumnDrift]:
        """Heading to the comparison of the prediction and of the landed labels."""
        headings = {"The prediction": PREDICTION, "The label": LABEL}
        return {title: self.drift.by_name[name] for title, name in headings.items() if name in self.drift.by_name}

    @property
    def cards(self) -> Sequence[ColumnDrift]:
        """Features with a plot: the worst that moved, or else the three with the largest PSI."""
        moved = [c for c in self.drift.drifted if c.name not in (PREDICTION, LABEL)]
        return moved[:CARDS] or [c for c in self.drift.watched if c.name not in (PREDICTION, LABEL)][:3]

    @property
    def model_link(self) -> str:
        """Address of the model version in MLflow; empty for none."""
        if not self.mlflow_uri.startswith(("http://", "https://")):
            return ""
        name, version = quote(self.model_name, safe=""), quote(self.model_version, safe="")
        return f"{self.mlflow_uri}/#/models/{name}/versions/{version}"


def render(report: Report) -> str:
    """Render the page as HTML; equal reports give the same bytes."""
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
            "mean_distance": words.mean_distance,
            "describe_onset": onset.describe_onset,
            "week_summary": onset.week_summary,
            "week_nights": onset.week_nights,
            "describe_domain": onset.describe_domain,
            "plot": plots.plot,
            "psi_plot": plots.psi_plot,
            "shares_plot": plots.shares_plot,
            "tally": plots.tally,
            "thumbnail": plots.thumbnail,
            "history_plot": plots.history_plot,
            "rows_plot": plots.rows_plot,
        }
    )

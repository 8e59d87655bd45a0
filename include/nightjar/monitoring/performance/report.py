"""The performance pages: one for the night just judged, one for the last judged nights, pooled."""

from __future__ import annotations

import base64
import hashlib
from functools import cache

from jinja2 import Environment

from nightjar.monitoring.performance import plots as performance_plots
from nightjar.monitoring.performance import wording as performance_words
from nightjar.monitoring.performance.binary import plots as binary_plots
from nightjar.monitoring.performance.binary import words as binary_words
from nightjar.monitoring.performance.regression import plots as regression_plots
from nightjar.monitoring.performance.regression import words as regression_words
from nightjar.monitoring.performance.report_data import PerformanceReport
from nightjar.monitoring.reporting import pages


def render(report: PerformanceReport) -> str:
    """Render the page of a night; equal reports give the same bytes."""
    return _render("performance.html.j2", report)


def render_week(report: PerformanceReport) -> str:
    """Render the page of the last judged nights; equal reports give the same bytes."""
    return _render("performance_week.html.j2", report)


def _render(template: str, report: PerformanceReport) -> str:
    script = pages.read("drift.js")
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    return _environment().get_template(template).render(report=report, script=script, script_sha256=digest)


@cache
def _environment() -> Environment:
    return pages.environment(
        {
            "day": performance_words.day,
            "verdict": performance_words.verdict,
            "headline": performance_words.headline,
            "describe_finding": performance_words.describe_finding,
            "changes": performance_words.changes,
            "describe_onset": performance_words.describe_onset,
            "describe_slices": performance_words.describe_slices,
            "list_estimates": performance_words.list_estimates,
            "describe_calibration": binary_words.describe_calibration,
            "gauge": performance_plots.gauge,
            "nights_plot": performance_plots.nights_plot,
            "slices_plot": performance_plots.slices_plot,
            "calibration_plot": binary_plots.calibration_plot,
            "describe_groups": regression_words.describe_groups,
            "groups_plot": regression_plots.groups_plot,
        }
    )

"""A panel of a Grafana dashboard: its declaration, and its JSON."""

from __future__ import annotations

import string
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from nightjar.protocol.metrics import METRICS

DATASOURCE = {"type": "prometheus", "uid": "${datasource}"}
GREEN, YELLOW, RED, BLUE, GREY = "green", "#EAB839", "red", "blue", "#8e8e8e"
_EXPORTED = {metric.name: metric.exported for metric in METRICS}


def of(metric: str, *conditions: str) -> str:
    """Return a PromQL selector of a declared metric, filtered by the dashboard's use case variable."""
    chosen = ", ".join(('use_case=~"$use_case"', *conditions))
    return f"{_EXPORTED[metric]}{{{chosen}}}"


def fixed(colour: str) -> Mapping[str, Any]:
    """Return the property that gives a line a fixed colour."""
    return {"color": {"mode": "fixed", "fixedColor": colour}}


DASHED: Mapping[str, Any] = {
    "custom.lineStyle": {"fill": "dash", "dash": [8, 6]},
    "custom.fillOpacity": 0,
    **fixed(RED),
}
FAINT: Mapping[str, Any] = {"custom.lineWidth": 1, "custom.fillOpacity": 0, **fixed(GREY)}


@dataclass(frozen=True, kw_only=True)
class Query:
    """A PromQL expression and the legend of its lines."""

    expr: str
    legend: str


@dataclass(frozen=True, kw_only=True)
class Panel:
    """A panel without its position.

    Attributes:
        title: Title.
        description: How to read it, and what to do.
        unit: Grafana's name of the unit.
        queries: Queries to draw.
        width: Width, of 24 columns.
        kind: ``timeseries``, ``stat`` or ``bargauge``.
        steps: Thresholds as (value, colour); the first applies from the start.
        least: Minimum of the axis.
        most: Maximum of the axis; None for automatic.
        decimals: Decimals; None for automatic.
        stacked: Whether to stack the series as areas.
        overrides: Pattern of series names to the properties that they override.
    """

    title: str
    description: str
    unit: str
    queries: tuple[Query, ...]
    width: int
    kind: str = "timeseries"
    steps: tuple[tuple[float | None, str], ...] = ((None, GREEN),)
    least: float = 0
    most: float | None = None
    decimals: int | None = None
    stacked: bool = False
    overrides: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    def to_dict(self, *, number: int, x: int, y: int, height: int) -> dict[str, Any]:
        """Return the panel as JSON at its grid position."""
        return {
            "id": number,
            "type": self.kind,
            "title": self.title,
            "description": self.description,
            "datasource": DATASOURCE,
            "gridPos": {"h": height, "w": self.width, "x": x, "y": y},
            "fieldConfig": {"defaults": self._defaults(), "overrides": self._overrides()},
            "options": _TIME_OPTIONS if self.kind == "timeseries" else _VALUE_OPTIONS[self.kind],
            "targets": [
                {
                    "refId": letter,
                    "datasource": DATASOURCE,
                    "expr": query.expr,
                    "legendFormat": query.legend,
                    "instant": self.kind == "bargauge",
                    "range": self.kind != "bargauge",
                }
                for letter, query in zip(string.ascii_uppercase, self.queries, strict=False)
            ],
        }

    def _defaults(self) -> dict[str, Any]:
        by_steps = self.kind == "stat" or (self.kind == "bargauge" and len(self.steps) > 1)
        ends = {"min": self.least, "max": self.most, "decimals": self.decimals}
        return {
            "unit": self.unit,
            **{name: value for name, value in ends.items() if value is not None},
            "color": {"mode": "thresholds" if by_steps else "palette-classic"},
            "thresholds": {
                "mode": "absolute",
                "steps": [{"value": value, "color": colour} for value, colour in self.steps],
            },
            **({"custom": self._lines()} if self.kind == "timeseries" else {}),
        }

    def _lines(self) -> dict[str, Any]:
        """Return the line options, with steps, as a gauge keeps its value between runs."""
        return {
            "drawStyle": "line",
            "lineInterpolation": "stepAfter",
            "lineWidth": 1 if self.stacked else 2,
            "fillOpacity": 60 if self.stacked else 8,
            "showPoints": "never",
            "spanNulls": True,
            "stacking": {"mode": "normal" if self.stacked else "none", "group": "A"},
            "thresholdsStyle": {"mode": "dashed" if len(self.steps) > 1 else "off"},
        }

    def _overrides(self) -> list[dict[str, Any]]:
        return [
            {
                "matcher": {"id": "byRegexp", "options": pattern},
                "properties": [{"id": name, "value": value} for name, value in properties.items()],
            }
            for pattern, properties in self.overrides.items()
        ]


_LAST = {"calcs": ["lastNotNull"], "fields": "", "values": False}
_TIME_OPTIONS: dict[str, Any] = {
    "legend": {"displayMode": "list", "placement": "bottom", "showLegend": True, "calcs": ["lastNotNull"]},
    "tooltip": {"mode": "multi", "sort": "desc"},
}
_VALUE_OPTIONS: dict[str, dict[str, Any]] = {
    "stat": {
        "reduceOptions": _LAST,
        "orientation": "auto",
        "textMode": "auto",
        "colorMode": "value",
        "graphMode": "area",
        "justifyMode": "center",
    },
    "bargauge": {
        "reduceOptions": _LAST,
        "orientation": "horizontal",
        "displayMode": "basic",
        "valueMode": "color",
        "showUnfilled": True,
    },
}

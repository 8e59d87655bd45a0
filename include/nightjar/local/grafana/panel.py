"""A panel of a Grafana dashboard: what is said of it here, and the JSON that Grafana reads."""

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
    """A PromQL selector of a declared metric, of the use cases that the reader has chosen."""
    chosen = ", ".join(('use_case=~"$use_case"', *conditions))
    return f"{_EXPORTED[metric]}{{{chosen}}}"


def fixed(colour: str) -> Mapping[str, Any]:
    """The property by which a line has this colour."""
    return {"color": {"mode": "fixed", "fixedColor": colour}}


DASHED: Mapping[str, Any] = {
    "custom.lineStyle": {"fill": "dash", "dash": [8, 6]},
    "custom.fillOpacity": 0,
    **fixed(RED),
}
FAINT: Mapping[str, Any] = {"custom.lineWidth": 1, "custom.fillOpacity": 0, **fixed(GREY)}


@dataclass(frozen=True, kw_only=True)
class Query:
    """One PromQL expression and the name of its lines."""

    expr: str
    legend: str


@dataclass(frozen=True, kw_only=True)
class Panel:
    """A panel before it has a place.

    Attributes:
        title: What it shows.
        description: How to read it and what to do.
        unit: Grafana's name of the unit.
        queries: What is drawn.
        width: Of 24 columns.
        kind: ``timeseries``, ``stat`` or ``bargauge``.
        steps: Thresholds: from which value on which colour; the first from the beginning.
        least: Lower end of the axis.
        most: Upper end of the axis; None leaves it to the values.
        decimals: Digits after the point; None leaves them to Grafana.
        stacked: Whether lines are areas that lie on each other.
        overrides: Pattern of lines' names to the properties by which they look otherwise.
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
        """As Grafana reads it, at its place in the grid."""
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
        """A gauge keeps its value from one run to the next, hence steps."""
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

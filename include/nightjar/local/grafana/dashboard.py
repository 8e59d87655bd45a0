"""The dashboard as a whole: layout of its rows, variables, time range."""

from __future__ import annotations

from typing import Any

from nightjar.local.grafana.panel import DATASOURCE, of
from nightjar.local.grafana.panels import ROWS

SCHEMA_VERSION = 39
"""Schema version of Grafana 10.4; later versions migrate it on import."""
TITLE_HEIGHT = 1


def dashboard() -> dict[str, Any]:
    """Return the dashboard as JSON for Grafana's import."""
    return {
        "uid": "nightjar-nights",
        "title": "Nightjar: nights, data, models, cost",
        "description": "Nightly batch machine learning: is it done, is it right, is the model good, what did it cost.",
        "tags": ["nightjar", "airflow"],
        "schemaVersion": SCHEMA_VERSION,
        "version": 1,
        "editable": True,
        "graphTooltip": 1,  # shared crosshair over all panels: a slow night is seen beside its rows
        "timezone": "browser",
        "time": {"from": "now-14d", "to": "now"},
        "refresh": "5m",
        "templating": {"list": [_datasource(), _use_case()]},
        "annotations": {"list": []},
        "links": [],
        "panels": panels(),
    }


def panels() -> list[dict[str, Any]]:
    """Return row titles and panels with ids and positions, top to bottom, left to right."""
    placed: list[dict[str, Any]] = []
    y = 0
    for title, height, row in ROWS:
        placed.append(
            {
                "id": len(placed) + 1,
                "type": "row",
                "title": title,
                "collapsed": False,
                "gridPos": {"h": TITLE_HEIGHT, "w": 24, "x": 0, "y": y},
                "panels": [],
            }
        )
        x = 0
        for panel in row:
            placed.append(panel.to_dict(number=len(placed) + 1, x=x, y=y + TITLE_HEIGHT, height=height))
            x += panel.width
        y += TITLE_HEIGHT + height
    return placed


def _datasource() -> dict[str, Any]:
    return {"name": "datasource", "label": "Data source", "type": "datasource", "query": "prometheus", "refresh": 1}


def _use_case() -> dict[str, Any]:
    query = f"label_values({of('seconds').split('{')[0]}, use_case)"
    return {
        "name": "use_case",
        "label": "Use case",
        "type": "query",
        "datasource": DATASOURCE,
        "definition": query,
        "query": {"query": query, "refId": "use_cases"},
        "refresh": 2,  # when the time range changes
        "sort": 1,
        "multi": True,
        "includeAll": True,
        "allValue": ".*",
        "current": {"text": ["All"], "value": ["$__all"]},
    }

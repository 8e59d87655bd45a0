"""The dashboard, the mapping and the table are those of the declared metrics, and Grafana can show them."""

from __future__ import annotations

import json
import re
from typing import Any

import jsonschema
import pytest
import yaml

from nightjar.local.grafana import files
from nightjar.local.grafana.dashboard import dashboard
from nightjar.local.paths import Paths
from nightjar.protocol.metrics import METRICS, TAGS

ROOT = Paths.here().root
EXPORTED = {metric.exported for metric in METRICS}
UNITS = {"s", "m", "h", "d", "short", "none", "percentunit", "rowsps"}
DATASOURCE = {"const": {"type": "prometheus", "uid": "${datasource}"}}
GRID = {
    "type": "object",
    "required": ["x", "y", "w", "h"],
    "properties": {
        "x": {"type": "integer", "minimum": 0, "maximum": 23},
        "y": {"type": "integer", "minimum": 0},
        "w": {"type": "integer", "minimum": 3, "maximum": 24},
        "h": {"type": "integer", "minimum": 1, "maximum": 12},
    },
}
TARGET = {
    "type": "object",
    "required": ["refId", "expr", "legendFormat", "datasource"],
    "properties": {
        "refId": {"pattern": "^[A-Z]$"},
        "expr": {"type": "string", "minLength": 1},
        "legendFormat": {"type": "string", "minLength": 1},
        "datasource": DATASOURCE,
    },
}
DEFAULTS = {
    "type": "object",
    "required": ["unit", "thresholds", "color"],
    "properties": {
        "unit": {"enum": sorted(UNITS)},
        "min": {"type": "number"},
        "thresholds": {
            "type": "object",
            "properties": {
                "mode": {"const": "absolute"},
                "steps": {
                    "type": "array",
                    "minItems": 1,
                    "prefixItems": [{"type": "object", "properties": {"value": {"type": "null"}}}],
                    "items": {"type": "object", "required": ["value", "color"]},
                },
            },
        },
    },
}
PANEL = {
    "type": "object",
    "required": ["id", "type", "title", "gridPos"],
    "properties": {"id": {"type": "integer", "minimum": 1}, "title": {"minLength": 3}, "gridPos": GRID},
    "if": {"properties": {"type": {"const": "row"}}},
    "then": {"required": ["collapsed", "panels"]},
    "else": {
        "required": ["description", "datasource", "targets", "fieldConfig", "options"],
        "properties": {
            "type": {"enum": ["timeseries", "stat", "bargauge"]},
            "description": {"minLength": 60},
            "datasource": DATASOURCE,
            "targets": {"type": "array", "minItems": 1, "items": TARGET},
            "fieldConfig": {
                "type": "object",
                "required": ["defaults", "overrides"],
                "properties": {"defaults": DEFAULTS},
            },
        },
    },
}
SCHEMA = {
    "type": "object",
    "required": ["uid", "title", "schemaVersion", "time", "templating", "panels"],
    "properties": {
        "uid": {"pattern": "^[a-zA-Z0-9_-]{1,40}$"},
        "schemaVersion": {"type": "integer", "minimum": 36},
        "panels": {"type": "array", "items": PANEL},
        "templating": {"type": "object", "required": ["list"]},
    },
}
PANELS: list[dict[str, Any]] = dashboard()["panels"]
DRAWN = [panel for panel in PANELS if panel["type"] != "row"]
EXPRESSIONS = [target["expr"] for panel in DRAWN for target in panel["targets"]]


@pytest.mark.parametrize("path", [files.DASHBOARD, files.MAPPING, files.PAGE], ids=str)
def test_the_files_are_those_of_the_declarations(path: Any) -> None:
    assert (ROOT / path).read_text() == files.texts(ROOT)[path], "run `make grafana`"


def test_the_dashboard_has_what_grafana_asks_for() -> None:
    jsonschema.Draft202012Validator.check_schema(SCHEMA)
    jsonschema.validate(json.loads((ROOT / files.DASHBOARD).read_text()), SCHEMA)


def test_the_schema_refuses_a_panel_without_unit_or_description() -> None:
    for path in (("fieldConfig", "defaults", "unit"), ("description",)):
        broken = json.loads(json.dumps(dashboard()))
        *parents, last = path
        place = broken["panels"][1]
        for parent in parents:
            place = place[parent]
        del place[last]
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate(broken, SCHEMA)


def test_panels_have_numbers_of_their_own_and_titles_too() -> None:
    assert [panel["id"] for panel in PANELS] == list(range(1, len(PANELS) + 1))
    assert len({panel["title"] for panel in PANELS}) == len(PANELS)


def test_panels_fill_the_grid_and_none_lies_on_another() -> None:
    cells: dict[tuple[int, int], str] = {}
    for panel in PANELS:
        place = panel["gridPos"]
        for x in range(place["x"], place["x"] + place["w"]):
            for y in range(place["y"], place["y"] + place["h"]):
                assert (x, y) not in cells, f"{panel['title']} lies on {cells[x, y]}"
                cells[x, y] = panel["title"]
    height = max(y for _, y in cells) + 1
    assert len(cells) == 24 * height, "a gap"


def test_expressions_name_metrics_that_are_emitted_and_all_of_them_are_shown() -> None:
    named = {name for expression in EXPRESSIONS for name in re.findall(r"\b(?:airflow_)?nightjar_\w+", expression)}
    assert named == EXPORTED


@pytest.mark.parametrize("expression", EXPRESSIONS)
def test_expressions_are_balanced_and_of_the_chosen_use_cases(expression: str) -> None:
    assert [expression.count(c) for c in "({["] == [expression.count(c) for c in ")}]"]
    selectors = re.findall(r"nightjar_\w+(\{[^}]*\})?", expression)
    assert all('use_case=~"$use_case"' in selector for selector in selectors)
    labels = set(re.findall(r"(\w+)\s*(?:=~|!=|=)\s*\"", expression))
    grouped = {name for names in re.findall(r"by \(([^)]*)\)", expression) for name in names.split(", ")}
    assert labels | grouped <= set(TAGS)


@pytest.mark.parametrize("panel", DRAWN, ids=lambda panel: panel["title"])
def test_legends_and_thresholds_are_those_of_the_panel(panel: dict[str, Any]) -> None:
    for target in panel["targets"]:
        shown = set(re.findall(r"\{\{(\w+)\}\}", target["legendFormat"]))
        grouped = {name for names in re.findall(r"by \(([^)]*)\)", target["expr"]) for name in names.split(", ")}
        assert shown == grouped
    values = [step["value"] for step in panel["fieldConfig"]["defaults"]["thresholds"]["steps"][1:]]
    assert values == sorted(values)
    legends = [re.sub(r"\{\{\w+\}\}", "x", target["legendFormat"]) for target in panel["targets"]]
    for override in panel["fieldConfig"]["overrides"]:
        pattern = override["matcher"]["options"].strip("/")
        assert any(re.search(pattern, legend) for legend in legends), pattern


def test_variables_are_defined_before_they_are_used() -> None:
    text = json.dumps(dashboard()["panels"])
    used = set(re.findall(r"\$\{?(\w+)\}?", text))
    assert used == {variable["name"] for variable in dashboard()["templating"]["list"]}


def test_runbooks_that_descriptions_name_are_there() -> None:
    named = {page for panel in DRAWN for page in re.findall(r"docs/[\w/]+\.md", panel["description"])}
    assert named
    assert all((ROOT / page).is_file() for page in named)


def test_every_metric_is_mapped_once_under_its_own_name() -> None:
    mapping = yaml.safe_load((ROOT / files.MAPPING).read_text())
    assert set(mapping) == {"defaults", "mappings"}
    assert mapping["defaults"]["ttl"] == "0s"
    mapped = {rule["match"]: rule for rule in mapping["mappings"]}
    assert len(mapped) == len(mapping["mappings"])
    assert {name: rule["name"] for name, rule in mapped.items()} == {f"airflow.{m.stat}": m.exported for m in METRICS}
    for rule in mapped.values():
        assert set(rule) == {"match", "match_metric_type", "name", "help"}
        assert rule["match_metric_type"] == "gauge"
        assert re.fullmatch(r"[a-zA-Z_][a-zA-Z0-9_]*", rule["name"])

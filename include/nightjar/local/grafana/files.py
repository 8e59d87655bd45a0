"""``make grafana``: write the dashboard, the StatsD mapping and the table of metrics from the declaration."""

from __future__ import annotations

import json
from pathlib import Path

from nightjar.local.grafana.dashboard import dashboard
from nightjar.protocol.metrics import EXPORTED_PREFIX, METRICS, Metric

DASHBOARD = Path("docs/grafana/nightjar.json")
MAPPING = Path("docs/grafana/statsd_mapping.yml")
PAGE = Path("docs/metrics.md")
BEGIN, END = "<!-- made by make grafana -->\n", "<!-- end -->\n"
_MAPPING_HEAD = """# For statsd_exporter: maps Nightjar's gauges to their names in Prometheus, with help texts.
# Made by `make grafana`. Tags (InfluxDB style) become labels by themselves.
defaults:
  match_type: glob
  ttl: 0s  # a gauge says what the last run found until the next one
mappings:
"""


def write(root: Path) -> list[Path]:
    """Write the three files below the checkout's root, and return their paths."""
    made = texts(root)
    for path, text in made.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(text)
    return list(made)


def texts(root: Path) -> dict[Path, str]:
    """Return each file's content; hand-written text around the page's table is kept."""
    page = (root / PAGE).read_text()
    before, rest = page.split(BEGIN)
    after = rest.split(END)[1]
    return {
        DASHBOARD: json.dumps(dashboard(), indent=2, ensure_ascii=False) + "\n",
        MAPPING: _MAPPING_HEAD + "".join(map(_mapping, METRICS)),
        PAGE: before + BEGIN + table() + END + after,
    }


def table() -> str:
    """Return the page's table of metrics."""
    head = "| Metric | In Prometheus | Unit | From | Meaning |\n|---|---|---|---|---|\n"
    return head + "".join(map(_line, METRICS))


def _line(metric: Metric) -> str:
    programs = ", ".join(f"`{program}`" for program in metric.programs) or "every program"
    return f"| `{metric.stat}` | `{metric.exported}` | {metric.unit} | {programs} | {metric.help} |\n"


def _mapping(metric: Metric) -> str:
    return (
        f"  - match: {EXPORTED_PREFIX}.{metric.stat}\n"
        f"    match_metric_type: gauge\n"
        f"    name: {metric.exported}\n"
        f"    help: {json.dumps(f'{metric.help} Unit: {metric.unit}.')}\n"
    )

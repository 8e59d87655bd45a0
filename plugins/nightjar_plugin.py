"""The AirflowPlugin: operator links, the night's deadline, and the view of reports and Data Docs."""

from __future__ import annotations

from typing import Any

from airflow.plugins_manager import AirflowPlugin

from nightjar_airflow.deadlines import ScheduledEnd
from nightjar_airflow.links.result_links import (
    FILES_ROUTE,
    DataDocsLink,
    ExperimentLink,
    MlflowModelLink,
    MlflowRunLink,
    PerformanceLink,
    PerformanceWeekLink,
    ReportLink,
)


def _fastapi_apps() -> list[dict[str, Any]]:
    """Return the view in the API server only, so that other processes need not import FastAPI's security.

    ``airflow api-server`` and an ASGI server that is given ``airflow.api_fastapi.main:app`` both are one.
    """
    import sys

    by_airflow = any(argument.endswith(("api-server", "api_server")) for argument in sys.argv)
    if not by_airflow and "airflow.api_fastapi.main" not in sys.modules:
        return []
    from nightjar_airflow.views.lake_files import app

    return [{"app": app, "url_prefix": FILES_ROUTE, "name": "Nightjar files"}]


class NightjarPlugin(AirflowPlugin):
    """Registers Nightjar's extensions with the Airflow server."""

    name = "nightjar"
    operator_extra_links = [  # noqa: RUF012
        *(ReportLink(), PerformanceLink(), PerformanceWeekLink(), ExperimentLink(), DataDocsLink()),
        *(MlflowRunLink(), MlflowModelLink()),
    ]
    deadline_references = [ScheduledEnd]  # noqa: RUF012
    fastapi_apps = _fastapi_apps()

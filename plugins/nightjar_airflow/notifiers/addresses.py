"""Pages of the Airflow server that a message leads to."""

from __future__ import annotations

from airflow.sdk import conf

from nightjar.settings.environment import Settings
from nightjar_airflow.links.result_links import FILES_ROUTE


def run_page(dag_id: str, run_id: str) -> str:
    """The page of a DAG run."""
    return f"{_base()}/dags/{dag_id}/runs/{run_id}"


def task_page(dag_id: str, run_id: str, task_id: str) -> str:
    """The page of a task in a DAG run."""
    return f"{run_page(dag_id, run_id)}/tasks/{task_id}"


def with_pages(text: str) -> str:
    """The text with reports of the lake as pages, and the lake's tables by their names."""
    lake = Settings.from_environment().lake
    return text.replace(f"{lake}/reports/", f"{_base()}{FILES_ROUTE}/reports/").replace(f"{lake}/", "")


def _base() -> str:
    return str(conf.get("api", "base_url", fallback="")).rstrip("/")

"""Addresses of pages of the Airflow server, for alerts."""

from __future__ import annotations

import re

from airflow.sdk import conf

from nightjar.settings.environment import Settings
from nightjar_airflow.links.result_links import FILES_ROUTE

_DOCS_PATH = re.compile(r"\bdocs/(?P<page>[a-z_/]+)\.md\b")


def run_page(dag_id: str, run_id: str) -> str:
    """Return the page of a DAG run."""
    return f"{_base()}/dags/{dag_id}/runs/{run_id}"


def task_page(dag_id: str, run_id: str, task_id: str) -> str:
    """Return the page of a task in a DAG run."""
    return f"{run_page(dag_id, run_id)}/tasks/{task_id}"


def with_pages(text: str) -> str:
    """Replace lake paths of reports with their pages, and paths of tables with their names."""
    lake = Settings.from_environment().lake
    return text.replace(f"{lake}/reports/", f"{_base()}{FILES_ROUTE}/reports/").replace(f"{lake}/", "")


def with_docs_pages(text: str, docs_page: str) -> str:
    """Replace paths of this documentation (``docs/runbooks/drift.md``) with the addresses of their pages.

    Args:
        text: Text of an alert.
        docs_page: Address with ``{page}`` for the name of a page (``runbooks/drift``); empty to leave the paths.
    """
    return _DOCS_PATH.sub(lambda path: docs_page.replace("{page}", path["page"]), text) if docs_page else text


def _base() -> str:
    return str(conf.get("api", "base_url", fallback="")).rstrip("/")

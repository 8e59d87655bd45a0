"""Tell people what `react` has found: each incident once when it opens, once when it is over."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from datetime import date
from typing import TYPE_CHECKING

from airflow.sdk import conf

from nightjar.contracts.alerts import Notice, Told, to_tell
from nightjar.contracts.settings import Settings
from nightjar.lake import files
from nightjar_airflow.links.result_links import FILES_ROUTE
from nightjar_airflow.notifiers.channels import tell

if TYPE_CHECKING:
    from airflow.sdk import Context


def tell_incidents(use_case: str, notices: Sequence[Notice], night: date, context: Context) -> None:
    """Say what is new on ``night``, and keep in the lake what people know now.

    Killed between telling and keeping, it tells once more. What no channel has taken is told first by the next run.
    """
    told = read_told(use_case)
    new, known = to_tell(told, notices, night)
    texts = (*told.untold, *new)
    if texts and not tell([_with_addresses(text) for text in texts], context):
        known = replace(known, untold=texts)
    files.write_text(_state(use_case), json.dumps(known.to_document()))


def read_told(use_case: str) -> Told:
    """What people know of a use case's incidents."""
    try:
        return Told.of(json.loads(files.read_text(_state(use_case))))
    except FileNotFoundError:
        return Told()


def _state(use_case: str) -> str:
    return f"{Settings.from_environment().lake}/monitoring/_told/{use_case}.json"


def _with_addresses(text: str) -> str:
    """Reports of the lake as pages that the Airflow server shows; its tables by their names."""
    lake = Settings.from_environment().lake
    base = conf.get("api", "base_url", fallback="").rstrip("/")
    return text.replace(f"{lake}/reports/", f"{base}{FILES_ROUTE}/reports/").replace(f"{lake}/", "")

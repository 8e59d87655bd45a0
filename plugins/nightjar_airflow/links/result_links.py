"""Buttons on a task's page: the report, the Data Docs, the MLflow run and the registered model."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import quote, urlsplit

from airflow.sdk import BaseOperatorLink

from nightjar.settings.environment import Settings

if TYPE_CHECKING:
    from airflow.sdk import BaseOperator
    from airflow.sdk.types import TaskInstanceKey

FILES_ROUTE = "/nightjar/files"
"""Where the Airflow server shows reports and Data Docs of the lake."""


class ResultLink(BaseOperatorLink):
    """A link that the program left in its result under the link's key; empty when it left none."""

    key = ""

    @property
    def name(self) -> str:
        """The button's text."""
        raise NotImplementedError

    def get_link(self, operator: BaseOperator, *, ti_key: TaskInstanceKey) -> str:
        """The address, from the result that the operator has just read; a file of the lake is shown by our view."""
        from airflow.sdk import conf

        address: str = getattr(operator, "links", {}).get(self.key, "")
        lake = Settings.from_environment().lake
        if address.startswith(f"{lake}/"):
            # The path alone: the link is kept for good, while the server may get another host or port.
            base = urlsplit(conf.get("api", "base_url", fallback="")).path.rstrip("/")
            return f"{base}{FILES_ROUTE}/{quote(address.removeprefix(f'{lake}/'))}"
        return address


class ReportLink(ResultLink):
    """The drift report."""

    name = "Report"
    key = "report"


class ExperimentLink(ResultLink):
    """The experiment's report."""

    name = "Experiment"
    key = "experiment"


class PerformanceLink(ResultLink):
    """The performance of the night just judged."""

    name = "Performance"
    key = "performance"


class PerformanceWeekLink(ResultLink):
    """The performance of the last seven judged nights."""

    name = "Performance of the week"
    key = "performance_week"


class DataDocsLink(ResultLink):
    """The Data Docs page of the validation."""

    name = "Data Docs"
    key = "data_docs"


class MlflowRunLink(ResultLink):
    """The training's run in MLflow."""

    name = "MLflow run"
    key = "mlflow_run"


class MlflowModelLink(ResultLink):
    """The registered version in MLflow."""

    name = "MLflow model"
    key = "mlflow_model"


_MLFLOW = (MlflowRunLink(), MlflowModelLink())
_OF_PROGRAM: dict[str, tuple[ResultLink, ...]] = {
    "ingest": (DataDocsLink(),),
    "validate_features": (DataDocsLink(),),
    "report_drift": (ReportLink(),),
    "report_performance": (PerformanceLink(), PerformanceWeekLink()),
    "report_experiment": (ExperimentLink(),),
    "choose_params": (MlflowRunLink(),),
    "register": _MLFLOW,
    "gate": _MLFLOW,
    "promote": _MLFLOW,
}


def links_of(program: str) -> tuple[ResultLink, ...]:
    """The buttons of a program's task: those to what its result leads to, so that none is always empty."""
    return _OF_PROGRAM.get(program, ())

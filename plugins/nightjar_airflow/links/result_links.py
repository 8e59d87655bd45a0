"""Buttons on a task's page: reports, Data Docs, the MLflow run and the registered model."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import quote, urlsplit

from airflow.sdk import BaseOperatorLink

from nightjar.settings.environment import Settings

if TYPE_CHECKING:
    from airflow.sdk import BaseOperator
    from airflow.sdk.types import TaskInstanceKey

FILES_ROUTE = "/nightjar/files"
"""Route of the Airflow server to reports and Data Docs of the lake."""


class ResultLink(BaseOperatorLink):
    """A link that the program stored in its result under the link's key; empty without one."""

    key = ""

    @property
    def name(self) -> str:
        """Text of the button."""
        raise NotImplementedError

    def get_link(self, operator: BaseOperator, *, ti_key: TaskInstanceKey) -> str:
        """Return the address from the operator's result; a file of the lake is shown through our view."""
        from airflow.sdk import conf

        address: str = getattr(operator, "links", {}).get(self.key, "")
        lake = Settings.from_environment().lake
        if address.startswith(f"{lake}/"):
            # Only the path: the link is stored for good, while host and port of the server may change.
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
    """Return the buttons of a program's task, only those that its result can fill."""
    return _OF_PROGRAM.get(program, ())

"""Addresses of a deployment, from the environment; the same variables on one machine and on a cluster."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field

from nightjar.protocol.errors import ConfigurationError
from nightjar.protocol.names import check_location


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Addresses of the deployment.

    Attributes:
        lake: Root of the lake: an absolute path or an ``s3://`` URI (``NIGHTJAR_LAKE``).
        landing: Folder where sources land, with a folder per night (``NIGHTJAR_LANDING``; default ``<lake>/landing``).
        mlflow_uri: The MLflow server (``MLFLOW_TRACKING_URI``).
        git_commit: Commit of the running code (``NIGHTJAR_GIT_COMMIT``; default ``unknown``).
        alert_webhook: Address to which alerts are posted as JSON, ``{"text": …}`` (``NIGHTJAR_ALERT_WEBHOOK``); empty
            for none. A secret, as anyone who knows it can post.
        alert_slack_conn: Airflow connection (Slack Incoming Webhook) for alerts (``NIGHTJAR_ALERT_SLACK_CONN``); empty
            for none.
        alert_email_to: Recipients of alerts by mail, through Airflow's connection ``smtp_default``
            (``NIGHTJAR_ALERT_EMAIL_TO``, separated by commas); empty for none.
        docs_page: Address of a page of this documentation, with ``{page}`` for its name, to which alerts link
            (``NIGHTJAR_DOCS_PAGE``); empty for the path in the checkout.
    """

    lake: str
    landing: str
    mlflow_uri: str
    git_commit: str = "unknown"
    alert_webhook: str = field(default="", repr=False)
    alert_slack_conn: str = ""
    alert_email_to: tuple[str, ...] = ()
    docs_page: str = ""

    @classmethod
    def from_environment(cls, environ: Mapping[str, str] = os.environ) -> Settings:
        """Read the settings.

        Raises:
            ConfigurationError: naming the variable that is not set, or whose folder some library would misread.
        """

        def required(name: str) -> str:
            value = environ.get(name, "").rstrip("/")
            if not value:
                raise ConfigurationError(
                    f"the environment variable {name} is not set",
                    where=name,
                    fix="start through `make run`, or set it in the deployment (docs/configuration.md)",
                )
            return value

        for name in ("NIGHTJAR_LAKE", "NIGHTJAR_LANDING", "NIGHTJAR_MODEL_CACHE", "NIGHTJAR_CHECKPOINTS"):
            check_location(environ.get(name, ""), field=name)
        docs_page = environ.get("NIGHTJAR_DOCS_PAGE", "")
        if docs_page and not (docs_page.startswith(("http://", "https://")) and docs_page.count("{page}") == 1):
            raise ConfigurationError(
                f"{docs_page!r:.200} is not the address of a page",
                where="NIGHTJAR_DOCS_PAGE",
                fix="write {page} where its name goes: https://git.example.org/nightjar/blob/main/docs/{page}.md",
            )
        lake = required("NIGHTJAR_LAKE")
        return cls(
            lake=lake,
            landing=environ.get("NIGHTJAR_LANDING", "").rstrip("/") or f"{lake}/landing",
            mlflow_uri=required("MLFLOW_TRACKING_URI"),
            git_commit=environ.get("NIGHTJAR_GIT_COMMIT", "unknown"),
            alert_webhook=environ.get("NIGHTJAR_ALERT_WEBHOOK", ""),
            alert_slack_conn=environ.get("NIGHTJAR_ALERT_SLACK_CONN", ""),
            alert_email_to=tuple(
                part.strip() for part in environ.get("NIGHTJAR_ALERT_EMAIL_TO", "").split(",") if part.strip()
            ),
            docs_page=docs_page,
        )

"""Tell people: in the log always, and by a webhook where the deployment names one."""

from __future__ import annotations

import json
import logging
import time
import urllib.request
from typing import TYPE_CHECKING

from airflow.sdk import conf
from airflow.sdk.bases.notifier import BaseNotifier

from nightjar.contracts.settings import Settings

if TYPE_CHECKING:
    from airflow.sdk import Context

log = logging.getLogger(__name__)
TIMEOUT_SECONDS = 10.0
PAUSES_SECONDS = (1.0, 5.0)
"""Before the webhook is tried again."""


class AlertNotifier(BaseNotifier):
    """Says that a task has failed, where people look: for ``on_failure_callback``.

    The webhook (``NIGHTJAR_ALERT_WEBHOOK``) gets ``{"text": "…"}``, as Slack, Mattermost and Google Chat take it. One
    that does not answer is said in the log, without its address, and changes nothing of the task.
    """

    def notify(self, context: Context) -> None:
        """Say it."""
        text = _text(context)
        log.warning("ALERT %s", text)  # no error: the task's own stays the last one in its log
        webhook = Settings.from_environment().alert_webhook
        if webhook:
            self._post(webhook, text)

    def _post(self, webhook: str, text: str) -> None:
        if not webhook.startswith(("http://", "https://")):
            log.error("the alert went nowhere: NIGHTJAR_ALERT_WEBHOOK is no http(s) address")
            return
        body = json.dumps({"text": text}).encode()
        request = urllib.request.Request(webhook, body, {"Content-Type": "application/json"})  # noqa: S310
        for pause in (*PAUSES_SECONDS, None):
            try:
                with urllib.request.urlopen(request, timeout=TIMEOUT_SECONDS) as answer:  # noqa: S310
                    log.info("the alert was taken (%d)", answer.status)
                    return
            except OSError as error:  # HTTPError is one
                log.warning("the webhook did not take the alert: %s", error)
                if pause is not None:
                    time.sleep(pause)
        log.error("the alert went nowhere: see that NIGHTJAR_ALERT_WEBHOOK is right and its server up")


def _text(context: Context) -> str:
    """What failed, why, and where to look."""
    run, task = context["dag_run"], context["ti"].task_id
    why = context.get("exception") or "no reason given"
    page = f"{conf.get('api', 'base_url', fallback='').rstrip('/')}/dags/{run.dag_id}/runs/{run.run_id}/tasks/{task}"
    return f"{run.dag_id}, task {task}: {why} | run: {run.run_id} | page: {page}"

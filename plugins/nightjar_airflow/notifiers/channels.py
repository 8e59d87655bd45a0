"""Where alerts go: the log always; a mailbox, Slack and a webhook where the deployment names them.

Mail and Slack go through the notifiers of Airflow's own providers and their connections. A channel that does not answer
is tried again, then said in the log, and changes nothing of the task.
"""

from __future__ import annotations

import html
import json
import logging
import time
import urllib.request
from collections.abc import Callable
from typing import TYPE_CHECKING

from nightjar.contracts.settings import Settings

if TYPE_CHECKING:
    from airflow.sdk import Context

log = logging.getLogger(__name__)
TIMEOUT_SECONDS = 10.0
PAUSES_SECONDS = (1.0, 5.0)
"""Before a channel is tried again."""
SUBJECT_LENGTH = 120


def tell(text: str, context: Context) -> None:
    """Say ``text`` in the log and on every channel that is configured.

    It is sent as it is, not as a template: it may hold what landed in a file.
    """
    log.warning("ALERT %s", text)  # no error: the task's own stays the last one in its log
    settings = Settings.from_environment()
    if settings.alert_webhook:
        _try("the webhook", "NIGHTJAR_ALERT_WEBHOOK", lambda: _post(settings.alert_webhook, text))
    if settings.alert_slack_conn:
        _try("Slack", "NIGHTJAR_ALERT_SLACK_CONN", lambda: _slack(settings.alert_slack_conn, text, context))
    if settings.alert_email_to:
        _try("the mail server", "NIGHTJAR_ALERT_EMAIL_TO", lambda: _mail(settings.alert_email_to, text, context))


def _try(channel: str, setting: str, send: Callable[[], None]) -> None:
    for pause in (*PAUSES_SECONDS, None):
        try:
            send()
            log.info("the alert was taken by %s", channel)
            return
        except Exception as error:  # whatever a library raises; its text may hold an address, its kind does not
            log.warning("%s did not take the alert: %s", channel, _safe(error))
            if pause is not None:
                time.sleep(pause)
    log.error("the alert went nowhere by %s: see that %s is right and its server up", channel, setting)


def _safe(error: Exception) -> str:
    status = getattr(error, "code", None) or getattr(error, "smtp_code", None)
    return f"{type(error).__name__}{f' ({status})' if status else ''}"


def _post(webhook: str, text: str) -> None:
    if not webhook.startswith(("http://", "https://")):
        raise ValueError("no http(s) address")
    body = json.dumps({"text": text}).encode()
    request = urllib.request.Request(webhook, body, {"Content-Type": "application/json"})  # noqa: S310
    with urllib.request.urlopen(request, timeout=TIMEOUT_SECONDS):  # noqa: S310
        pass


def _slack(connection: str, text: str, context: Context) -> None:
    from airflow.providers.slack.notifications.slack_webhook import SlackWebhookNotifier

    SlackWebhookNotifier(slack_webhook_conn_id=connection, text=text, timeout=int(TIMEOUT_SECONDS)).notify(  # type: ignore[no-untyped-call]
        context
    )


def _mail(addresses: tuple[str, ...], text: str, context: Context) -> None:
    from airflow.providers.smtp.notifications.smtp import SmtpNotifier

    subject, *_ = text.split(" | ")
    lines = "".join(f"<p>{html.escape(part)}</p>" for part in text.split(" | "))
    SmtpNotifier(to=list(addresses), subject=subject[:SUBJECT_LENGTH], html_content=lines).notify(context)

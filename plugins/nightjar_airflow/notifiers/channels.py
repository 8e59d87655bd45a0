"""Where alerts go: the log always; a mailbox, Slack and a webhook where the deployment names them.

Mail and Slack go through the notifiers of Airflow's own providers and their connections. A channel that does not answer
is tried again, then said in the log, and changes nothing of the task.

What is sent is sent as it is, not as a template: it may hold what landed in a file.
"""

from __future__ import annotations

import html
import json
import logging
import time
import urllib.request
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from nightjar.settings.environment import Settings
from nightjar.settings.secrets import redacted

if TYPE_CHECKING:
    from airflow.sdk import Context

log = logging.getLogger(__name__)
TIMEOUT_SECONDS = 10.0
PAUSES_SECONDS = (1.0, 5.0)
"""Before a channel is tried again."""
SUBJECT_LENGTH = 120


def send_alerts(texts: list[str], context: Context) -> bool:
    """Say ``texts`` in the log and on every channel that is configured.

    Returns:
        Whether people have them: all of them on one channel at least, or in the log where no channel is configured.
    """
    texts = [redacted(text) for text in texts]
    for text in texts:
        log.warning("ALERT %s", text)  # no error: the task's own stays the last one in its log
    settings = Settings.from_environment()
    taken = []
    if settings.alert_webhook:
        webhook = settings.alert_webhook
        taken.append(_send("the webhook", "NIGHTJAR_ALERT_WEBHOOK", texts, lambda text: _post(webhook, text)))
    if settings.alert_slack_conn:
        slack = settings.alert_slack_conn
        taken.append(_send("Slack", "NIGHTJAR_ALERT_SLACK_CONN", texts, lambda text: _slack(slack, text, context)))
    if settings.alert_email_to:
        to = settings.alert_email_to
        taken.append(_send("the mail server", "NIGHTJAR_ALERT_EMAIL_TO", texts, lambda text: _mail(to, text, context)))
    return any(taken) or not taken


def _send(channel: str, setting: str, texts: Sequence[str], send: Callable[[str], None]) -> bool:
    """Send one after the other until one is not taken, however often it is tried: a dead server is waited for once."""
    for sent, text in enumerate(texts):
        if not _try(channel, lambda text=text: send(text)):  # type: ignore[misc]
            log.error(
                "%d of %d alerts went nowhere by %s: see that %s is right and its server up",
                len(texts) - sent, len(texts), channel, setting,
            )  # fmt: skip
            return False
    log.info("%d alert(s) taken by %s", len(texts), channel)
    return True


def _try(channel: str, send: Callable[[], None]) -> bool:
    for pause in (*PAUSES_SECONDS, None):
        try:
            send()
            return True
        except Exception as error:  # whatever a library raises; its text may hold an address, its kind does not
            log.warning("%s did not take the alert: %s", channel, _safe(error))
            if pause is not None:
                time.sleep(pause)
    return False


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

    said = html.escape(text, quote=False)  # as Slack has it: & < > alone; neither mentions nor links out of a file
    SlackWebhookNotifier(slack_webhook_conn_id=connection, text=said, timeout=int(TIMEOUT_SECONDS)).notify(  # type: ignore[no-untyped-call]
        context
    )


def _mail(addresses: tuple[str, ...], text: str, context: Context) -> None:
    from airflow.providers.smtp.notifications.smtp import SmtpNotifier

    subject = " ".join(text.split(" | ")[0].split())  # a line break would begin another header
    lines = "".join(f"<p>{html.escape(part)}</p>" for part in text.split(" | "))
    SmtpNotifier(to=list(addresses), subject=subject[:SUBJECT_LENGTH], html_content=lines).notify(context)

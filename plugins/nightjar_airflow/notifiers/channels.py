"""Channels of alerts: always the log; mail, Slack and a webhook where configured.

Mail and Slack use the notifiers of Airflow's providers and their connections. A channel that does not answer is
retried; then the failure is logged, and the task is not affected.

Texts are sent literally, not as templates: they may contain text from a landed file.
"""

from __future__ import annotations

import html
import json
import logging
import urllib.request
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import tenacity

from nightjar.settings.environment import Settings
from nightjar.settings.secrets import redacted
from nightjar_airflow.notifiers.addresses import with_docs_pages

if TYPE_CHECKING:
    from airflow.sdk import Context

log = logging.getLogger(__name__)
TIMEOUT_SECONDS = 10.0
PAUSES_SECONDS = (1.0, 5.0)
"""Pauses between attempts on a channel."""
SUBJECT_LENGTH = 120


def send_alerts(texts: list[str], context: Context) -> bool:
    """Log ``texts``, and send them to every configured channel.

    Returns:
        Whether they were delivered: all of them to at least one channel, or to the log when no channel is configured.
    """
    texts = [redacted(text) for text in texts]
    for text in texts:
        log.warning("ALERT %s", text)  # not an error: the task's own error stays the last one in its log
    settings = Settings.from_environment()  # only now: the log has the alert whatever the settings are
    texts = [with_docs_pages(text, settings.docs_page) for text in texts]
    delivered = []
    if settings.alert_webhook:
        webhook = settings.alert_webhook
        delivered.append(_send("the webhook", "NIGHTJAR_ALERT_WEBHOOK", texts, lambda text: _post(webhook, text)))
    if settings.alert_slack_conn:
        slack = settings.alert_slack_conn
        delivered.append(_send("Slack", "NIGHTJAR_ALERT_SLACK_CONN", texts, lambda text: _slack(slack, text, context)))
    if settings.alert_email_to:
        to = settings.alert_email_to
        delivered.append(
            _send("the mail server", "NIGHTJAR_ALERT_EMAIL_TO", texts, lambda text: _mail(to, text, context))
        )
    return any(delivered) or not delivered


def _send(channel: str, setting: str, texts: Sequence[str], send: Callable[[str], None]) -> bool:
    """Send texts in order until one is not accepted after all attempts, so that a dead server is waited for once."""
    for sent, text in enumerate(texts):
        if not _try(channel, lambda text=text: send(text)):  # type: ignore[misc]
            log.error(
                "%d of %d alerts were not sent by %s: check %s and that the server is up",
                len(texts) - sent, len(texts), channel, setting,
            )  # fmt: skip
            return False
    log.info("%d alert(s) sent by %s", len(texts), channel)
    return True


def _try(channel: str, send: Callable[[], None]) -> bool:
    def log_failure(state: tenacity.RetryCallState) -> None:
        error = state.outcome.exception() if state.outcome else None  # of any type, from a library
        log.warning("%s did not accept the alert: %s", channel, _safe(error))

    attempts = tenacity.Retrying(
        retry=tenacity.retry_if_exception_type(),
        stop=tenacity.stop_after_attempt(len(PAUSES_SECONDS) + 1),
        wait=tenacity.wait_chain(*map(tenacity.wait_fixed, PAUSES_SECONDS)),
        after=log_failure,
    )
    try:
        attempts(send)
    except tenacity.RetryError:
        return False
    return True


def _safe(error: BaseException | None) -> str:
    """Describe an error without its text, which may hold an address."""
    status = getattr(error, "code", None) or getattr(error, "smtp_code", None)
    return f"{type(error).__name__}{f' ({status})' if status else ''}"


def _post(webhook: str, text: str) -> None:
    if not webhook.startswith(("http://", "https://")):
        raise ValueError("not an http(s) address")
    body = json.dumps({"text": text}).encode()
    request = urllib.request.Request(webhook, body, {"Content-Type": "application/json"})  # noqa: S310
    with urllib.request.urlopen(request, timeout=TIMEOUT_SECONDS):  # noqa: S310
        pass


def _slack(connection: str, text: str, context: Context) -> None:
    from airflow.providers.slack.notifications.slack_webhook import SlackWebhookNotifier

    escaped = html.escape(text, quote=False)  # Slack's escaping of & < >: no mentions or links from a landed file
    SlackWebhookNotifier(slack_webhook_conn_id=connection, text=escaped, timeout=int(TIMEOUT_SECONDS)).notify(  # type: ignore[no-untyped-call]
        context
    )


def _mail(addresses: tuple[str, ...], text: str, context: Context) -> None:
    from airflow.providers.smtp.notifications.smtp import SmtpNotifier

    subject = " ".join(text.split(" | ")[0].split())  # a line break would start another header
    lines = "".join(f"<p>{html.escape(part)}</p>" for part in text.split(" | "))
    SmtpNotifier(to=list(addresses), subject=subject[:SUBJECT_LENGTH], html_content=lines).notify(context)

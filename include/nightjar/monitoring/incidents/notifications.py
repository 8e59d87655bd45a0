"""Notifications due for incidents: when one opens, worsens or is resolved, and weekly reminders."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import Literal

from nightjar.protocol.incidents import Notification

REMIND_NIGHTS = 7
"""Nights between reminders for an open incident."""


@dataclass(frozen=True, kw_only=True)
class LastNotification:
    """Last notification sent about an open incident.

    Attributes:
        night: Night of the notification.
        severity: Severity of the incident on that night.
    """

    night: date
    severity: Literal["warn", "breach"]


@dataclass(frozen=True, kw_only=True)
class NotificationState:
    """Notifications that were sent for one use case.

    Attributes:
        last_night: Latest night that notifications were sent for; None before the first.
        open: Subject of each incident that was reported as open, to the last notification about it.
        unsent: Texts that no channel has accepted yet.
    """

    last_night: date | None = None
    open: Mapping[str, LastNotification] = field(default_factory=dict)
    unsent: tuple[str, ...] = ()

    def is_history(self, night: date) -> bool:
        """Whether notifications were already sent for a later night."""
        return self.last_night is not None and night < self.last_night


def notifications_due(
    state: NotificationState, notifications: Iterable[Notification], night: date
) -> tuple[list[str], NotificationState]:
    """Return the texts to send for ``night``, and the state after sending them.

    The notifications that were sent decide, not the incident's first night: an incident that opened in a backfill,
    which sends none, is reported on the first night that does. A rerun of the last night sends only what is new. A
    night before the last one is history and sends nothing. An incident that was reported as open and has no row any
    more (an earlier night was repaired and rerun) is reported as resolved.

    Args:
        state: Notifications sent so far.
        notifications: All incidents of the night, one per subject.
        night: The night.
    """
    if state.is_history(night):
        return [], state
    texts, still_open = [], dict(state.open)
    seen = set()
    for notification in notifications:
        subject = notification.subject
        seen.add(subject)
        if notification.resolved:
            if still_open.pop(subject, None):
                texts.append(f"RESOLVED {notification.text}")
        elif notification.found and (prefix := _prefix(still_open.get(subject), notification, night)):
            texts.append(f"{prefix} {notification.text}")
            still_open[subject] = LastNotification(night=night, severity=notification.severity)
    for subject in sorted(still_open.keys() - seen):
        texts.append(f"RESOLVED {subject}: monitoring has no open incident on it any more")
        del still_open[subject]
    return texts, NotificationState(last_night=night, open=still_open)


def _prefix(last: LastNotification | None, notification: Notification, night: date) -> str:
    """First word of the text; empty when no notification is due."""
    if last is None:
        return "NEW"
    if (last.severity, notification.severity) == ("warn", "breach"):
        return "WORSE"
    return "STILL OPEN" if (night - last.night).days >= REMIND_NIGHTS else ""

"""Notifications due for incidents: when one opens, worsens or is resolved, and weekly reminders."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import Any, Literal

from nightjar.protocol.documents import check_fields

REMIND_NIGHTS = 7
"""Nights between reminders for an open incident."""


@dataclass(frozen=True, kw_only=True)
class Notification:
    """State of an incident on one night, as `react` hands it over.

    Attributes:
        subject: Kind and subject; the same on all nights of an incident and of the next incident on that subject.
        resolved: The incident is resolved on this night.
        found: The night has a finding for the incident; False on the quiet nights before it is resolved.
        severity: ``warn`` or ``breach`` (worse).
        text: What happened, how severe it is, since when, where to look and what to do.
    """

    subject: str
    resolved: bool
    found: bool
    severity: Literal["warn", "breach"]
    text: str

    @classmethod
    def of(cls, document: Mapping[str, Any]) -> Notification:
        """Build a notification from a result's values."""
        return cls(**document)


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

    def to_document(self) -> dict[str, Any]:
        """Return the state as JSON values."""
        open_incidents = {subject: [last.night.isoformat(), last.severity] for subject, last in self.open.items()}
        last_night = self.last_night.isoformat() if self.last_night else None
        return {"last_night": last_night, "open": open_incidents, "unsent": list(self.unsent)}

    @classmethod
    def of(cls, document: Mapping[str, Any]) -> NotificationState:
        """Invert :meth:`to_document`; call it within :func:`nightjar.protocol.documents.reading`."""
        last_night = document["last_night"]
        state = cls(
            last_night=date.fromisoformat(last_night) if last_night else None,
            open={
                subject: LastNotification(night=date.fromisoformat(night), severity=severity)
                for subject, (night, severity) in document["open"].items()
            },
            unsent=tuple(document["unsent"]),
        )
        check_fields(state)
        for last in state.open.values():
            check_fields(last)
        return state


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

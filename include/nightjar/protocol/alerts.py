"""What is told to people of incidents: once when one begins, once when it is over, whatever runs again meanwhile."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import Any, Literal

from nightjar.protocol.documents import check_fields

REMIND_NIGHTS = 7
"""Of one that stays open people are told again so many nights after they were told last."""


@dataclass(frozen=True, kw_only=True)
class Notice:
    """An incident on one night, as `react` passes it on.

    Attributes:
        subject: Kind and subject, the same on all nights of an incident and of the next one like it.
        over: It is resolved tonight.
        found: It was found tonight; False on the quiet nights before it is over.
        severity: ``warn`` or, graver, ``breach``.
        text: What, how bad, since when, where to look, what to do.
    """

    subject: str
    over: bool
    found: bool
    severity: Literal["warn", "breach"]
    text: str

    @classmethod
    def of(cls, document: Mapping[str, Any]) -> Notice:
        """Out of a result's values."""
        return cls(**document)


@dataclass(frozen=True, kw_only=True)
class Heard:
    """What people heard last of an incident that they take for open.

    Attributes:
        night: On which night.
        severity: How grave it was then.
    """

    night: date
    severity: Literal["warn", "breach"]


@dataclass(frozen=True, kw_only=True)
class Told:
    """What people know.

    Attributes:
        until: Night of which they were told last; None for none.
        open: Subject of each incident that they take for open, to what they heard of it.
        untold: What they should know and no channel has taken.
    """

    until: date | None = None
    open: Mapping[str, Heard] = field(default_factory=dict)
    untold: tuple[str, ...] = ()

    def knows_later_than(self, night: date) -> bool:
        """Whether ``night`` is history: a later one was told of."""
        return self.until is not None and night < self.until

    def to_document(self) -> dict[str, Any]:
        """JSON values."""
        heard = {subject: [one.night.isoformat(), one.severity] for subject, one in self.open.items()}
        until = self.until.isoformat() if self.until else None
        return {"until": until, "open": heard, "untold": list(self.untold)}

    @classmethod
    def of(cls, document: Mapping[str, Any]) -> Told:
        """The inverse of :meth:`to_document`; call it within :func:`nightjar.protocol.documents.reading`."""
        until = document["until"]
        told = cls(
            until=date.fromisoformat(until) if until else None,
            open={
                subject: Heard(night=date.fromisoformat(night), severity=severity)
                for subject, (night, severity) in document["open"].items()
            },
            untold=tuple(document["untold"]),
        )
        check_fields(told)
        for heard in told.open.values():
            check_fields(heard)
        return told


def to_tell(told: Told, notices: Iterable[Notice], night: date) -> tuple[list[str], Told]:
    """What people must be told of ``night``, and what they know then.

    It goes by what they know, and not by the incident's first night: of one that began in a backfill, which tells
    nobody, they are told on the first night that does. The same night again has nothing new to tell, and a night older
    than the last is history. What they take for open and monitoring knows nothing of (an older night was mended and ran
    again) is over.

    Args:
        told: What they know.
        notices: All incidents of the night, one a subject.
        night: The night.
    """
    if told.knows_later_than(night):
        return [], told
    texts, known = [], dict(told.open)
    seen = set()
    for notice in notices:
        seen.add(notice.subject)
        if notice.over:
            if known.pop(notice.subject, None):
                texts.append(f"RESOLVED {notice.text}")
        elif notice.found and (word := _word(known.get(notice.subject), notice, night)):
            texts.append(f"{word} {notice.text}")
            known[notice.subject] = Heard(night=night, severity=notice.severity)
    for subject in sorted(known.keys() - seen):
        texts.append(f"RESOLVED {subject}: monitoring knows nothing of it any more")
        del known[subject]
    return texts, Told(until=night, open=known)


def _word(heard: Heard | None, notice: Notice, night: date) -> str:
    """What a message begins with; empty where there is nothing to say."""
    if heard is None:
        return "NEW"
    if (heard.severity, notice.severity) == ("warn", "breach"):
        return "WORSE"
    return "STILL OPEN" if (night - heard.night).days >= REMIND_NIGHTS else ""

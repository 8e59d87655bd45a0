"""What monitoring hands to Airflow: notifications to send, and whether to train again."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


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


@dataclass(frozen=True, kw_only=True)
class RetrainingDecision:
    """Decision on a retraining.

    Attributes:
        request: Whether to request a retraining.
        reason: Why the policy wants a retraining; empty when it does not.
        blocked_by: Why a wanted retraining is not requested; empty otherwise.
    """

    request: bool = False
    reason: str = ""
    blocked_by: str = ""

"""Classify messages of the cluster: whether waiting may help, or a person has to act. Pure."""

from __future__ import annotations

import re
from typing import Literal

Refusal = Literal["quota", "policy"]

_QUOTA = "exceeded quota"
# Temporary causes, wherever they are quoted: networks, busy servers, unavailable webhooks, conflicts.
_PASSING = (
    "connection refused", "connection reset", "broken pipe", "no route to host", "network is unreachable",
    "no such host", "server misbehaving", "timeout", "timed out", "deadline exceeded", "unexpected eof", ": eof",
    "unavailable", "too many requests", "toomanyrequests", "rate limit", "try again", "retry after",
    "internal server error", "bad gateway", "failed calling webhook", "failed to call webhook", "no endpoints",
    "object has been modified", "not yet ready", "status unknown for quota", "leader changed", "connection lost",
)  # fmt: skip
# Messages of admission that rejects an object for its content.
_POLICY = (
    "violates podsecurity", "denied the request", "denied request", "security context constraint", "is invalid:",
    "failed quota", "usage per", "limit to request ratio", "no priorityclass", "is being terminated",
    "error looking up service account",
)  # fmt: skip
_NO_IMAGE = (
    "not found", "manifest unknown", "name unknown", "does not exist", "unauthorized", "forbidden",
    "access denied", "access to the resource is denied", "authorization failed", "authentication required",
    "no basic auth credentials", "invalid reference", "couldn't parse image", "no match for platform",
)  # fmt: skip
_NO_START = (
    "not found", "couldn't find key", "runasnonroot", "non-numeric user", "run as root", "no such file",
    "permission denied", "executable file", "invalid",
)  # fmt: skip


def refusal(message: str) -> Refusal | None:
    """Return why admission rejects an object until a person acts: an exhausted quota, or a violated policy.

    None for any other cause: an unavailable webhook, a conflict, a time-out.
    """
    if _QUOTA in message.lower():
        return "quota"
    return "policy" if _lasts(message, _POLICY) else None


def image_is_refused(message: str) -> bool:
    """Return whether a registry says that an image does not exist or is not accessible."""
    return _lasts(message, _NO_IMAGE)


def start_is_refused(message: str) -> bool:
    """Return whether a container cannot start because of its pod's spec."""
    return _lasts(message, _NO_START)


def _lasts(message: str, words: tuple[str, ...]) -> bool:
    text = re.sub(r'"[^"\s]*"', '""', message.lower())  # names in quotes may hold any of the words
    return any(word in text for word in words) and not any(word in text for word in _PASSING)

"""What a message of the cluster says of its cause: whether waiting may help, or a person has to act. Pure."""

from __future__ import annotations

import re
from typing import Literal

Refusal = Literal["quota", "policy"]

_QUOTA = "exceeded quota"
# What passes without anybody's doing, wherever it is quoted: networks, busy servers, webhooks that are away, conflicts.
_PASSING = (
    "connection refused", "connection reset", "broken pipe", "no route to host", "network is unreachable",
    "no such host", "server misbehaving", "timeout", "timed out", "deadline exceeded", "unexpected eof", ": eof",
    "unavailable", "too many requests", "toomanyrequests", "rate limit", "try again", "retry after",
    "internal server error", "bad gateway", "failed calling webhook", "failed to call webhook", "no endpoints",
    "object has been modified", "not yet ready", "status unknown for quota", "leader changed", "connection lost",
)  # fmt: skip
# What admission says when it refuses an object for what it is.
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
    """Why admission refuses an object until somebody acts: a quota that is used up, or a policy that it breaks.

    None for whatever else keeps it from being made: a webhook that is away, a conflict, a time-out.
    """
    if _QUOTA in message.lower():
        return "quota"
    return "policy" if _lasts(message, _POLICY) else None


def image_is_refused(message: str) -> bool:
    """Whether a registry says that an image is not there, or not for us."""
    return _lasts(message, _NO_IMAGE)


def start_is_refused(message: str) -> bool:
    """Whether a container cannot start for what its pod asks for."""
    return _lasts(message, _NO_START)


def _lasts(message: str, words: tuple[str, ...]) -> bool:
    said = re.sub(r'"[^"\s]*"', '""', message.lower())  # names may hold any of the words
    return any(word in said for word in words) and not any(word in said for word in _PASSING)

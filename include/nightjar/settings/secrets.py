"""Removal of credentials from errors, logs, results, the ledger and alerts."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import unquote

HIDDEN = "***"
_WORD = (
    r"(?:password|passwd|pwd|secret(?:[._-]?(?:access[._-]?)?key)?|token|api[._-]?key|access[._-]?key|credentials?"
    r"|signature)"
)
_PATTERNS = tuple(
    re.compile(pattern, re.IGNORECASE)
    for pattern in (
        # User and password of an address. A password may contain `/` and `@`; the last `@` before the path ends it.
        r"(?P<shown>(?!abfss?:|wasbs?:)\b[a-z][\w+.-]*://)(?:[^\s/?#'\"<>|]*|[^\s/@'\"]+:(?!\d{1,5}[/?#])[^\s@'\"<>|]+)(?=@)",
        r"(?P<shown>jdbc:oracle:\w+:)[^\s@'\"]+(?=@)",
        rf"(?P<shown>(?<![\w.%-])[\w.%-]*{_WORD}(?:=|[\"']\s*:\s*)[\"']?)[^\s&;,'\"<>|)}}]+",
        r"(?P<shown>[?&]sig=)[^\s&'\"<>|)]+",
        r"(?P<shown>authorization[\"']?\s*[:=]\s*[\"']?(?:(?:bearer|basic)\s+)?)[^\s,'\"}]+",
        r"(?P<shown>https?://[^\s/'\"<>|]+/(?:services|webhooks?|hooks|api/webhooks)/)[^\s'\"<>|)]+",
    )
)
_SECRET_VARIABLE = re.compile(
    r"(?:^|_)(?:PASSWORD|PASSWD|SECRET|TOKEN|CREDENTIALS?|API_?KEY|FERNET_KEY|WEBHOOK)(?:_KEY|_ACCESS_KEY)?$",
    re.IGNORECASE,
)
_SHORTEST = 6
"""Minimum length of a secret; shorter values occur inside ordinary words."""


def redacted(text: str, environ: Mapping[str, str] = os.environ) -> str:
    """Return ``text`` without credentials.

    Hides the user and password of every address, secret parameters and webhook paths. Also hides the secrets of the
    environment anywhere in the text, as libraries show them apart from their address.
    """
    for secret in sorted(secrets_of(environ), key=len, reverse=True):
        text = text.replace(secret, HIDDEN)
    for pattern in _PATTERNS:
        text = pattern.sub(rf"\g<shown>{HIDDEN}", text)
    return text


def without_credentials(address: str) -> str:
    """Return an address without user and password, as a link for people."""
    return re.sub(r"^([a-z][\w+.-]*://)[^\s/?#]*@", r"\1", address, flags=re.IGNORECASE)


def secrets_of(environ: Mapping[str, str] = os.environ) -> set[str]:
    """Return the secrets of an environment.

    These are the values of variables with secret names, and passwords in addresses and JSON.
    """
    candidates = {secret for name, value in environ.items() for secret in _secrets_in(name, value)}
    return {secret for secret in candidates if len(secret) >= _SHORTEST}


def _secrets_in(name: str, value: str) -> Iterator[str]:
    if _SECRET_VARIABLE.search(name) and not value.startswith("/"):  # a path to a secret is not a secret itself
        yield value
    for address in re.findall(r"\w://(\S*)@", value):
        password = address.partition(":")[2]
        yield from (password, unquote(password))
    if value.startswith("{"):
        try:
            document = json.loads(value)  # noqa: TID251 - nightjar.protocol.documents imports this module
            secrets = list(_secrets_in_json(document))
        except (ValueError, RecursionError):
            return
        yield from secrets


def _secrets_in_json(document: Any) -> Iterator[str]:
    for name, value in document.items() if isinstance(document, dict) else ():
        if isinstance(value, str):
            if re.search(rf"{_WORD}$", name, re.IGNORECASE):
                yield value
            yield from _secrets_in("", value)
        else:
            yield from _secrets_in_json(value)

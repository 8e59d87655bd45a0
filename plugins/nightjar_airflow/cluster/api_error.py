"""What an API server's refusal means to a person."""

from __future__ import annotations

import json

from nightjar.contracts.errors import CapacityError, ConfigurationError, NightjarError, UnreachableError

TRANSIENT = frozenset({408, 429, 500, 502, 503, 504})
"""Statuses after which the same request may succeed."""


class ApiError(Exception):
    """An answer of the API server that is no success.

    Attributes:
        status: HTTP status; 0 when there was no answer.
        message: What the server says.
        retry_after_seconds: How long the server asks to wait; 0 when it does not.
    """

    def __init__(self, status: int, message: str, retry_after_seconds: float = 0.0) -> None:
        super().__init__(f"{status}: {message}")
        self.status = status
        self.message = message
        self.retry_after_seconds = retry_after_seconds

    @property
    def transient(self) -> bool:
        return self.status == 0 or self.status in TRANSIENT

    @classmethod
    def of_body(cls, status: int, body: bytes, retry_after: str | None) -> ApiError:
        """From an answer, whose body is a ``Status`` object, or whatever a proxy on the way sent."""
        try:
            message = str(json.loads(body)["message"])
        except (ValueError, KeyError, TypeError):
            message = body.decode(errors="replace").strip()[:300] or "no message"
        seconds = float(retry_after) if retry_after and retry_after.isdigit() else 0.0
        return cls(status, message, seconds)

    def explained(self, doing: str, namespace: str) -> NightjarError:
        """The error for a person, by the kind of refusal."""
        where = f"Kubernetes, namespace {namespace}"
        what = f"cannot {doing}: {self.message}"
        if self.transient:
            status = f" (HTTP {self.status})" if self.status else ""
            return UnreachableError(
                f"the Kubernetes API does not answer{status}; {what}",
                where=where,
                fix="check the cluster and the training connection; the task attaches again when it is retried",
            )
        if self.status == 403 and "exceeded quota" in self.message:
            return CapacityError(
                f"the namespace's quota refuses the training: {self.message}",
                where=where,
                fix="wait for other trainings, ask for less in resources, or have the quota raised",
            )
        if self.status == 404 and "namespaces" in self.message:
            return ConfigurationError(
                f"the namespace {namespace} does not exist",
                where=where,
                fix="make it, or correct namespace in the training connection's extra",
            )
        if self.status in (401, 403):
            return ConfigurationError(
                f"the cluster refuses Airflow: {self.message}",
                where=where,
                fix="check the connection's credentials and the role in docs/configuration.md",
            )
        return ConfigurationError(what, where=where, fix="correct the training connection or the use case's resources")

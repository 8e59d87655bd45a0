"""Errors of the Kubernetes API server: whether a retry helps, and the message for a person."""

from __future__ import annotations

import re

from nightjar.protocol.documents import PARSER_ERRORS, parse_object
from nightjar.protocol.errors import CapacityError, ConfigurationError, NightjarError, UnreachableError
from nightjar_airflow.cluster.causes import refusal

BUSY = frozenset({408, 429})
"""Statuses below 500 after which the same request may succeed."""

ACCESS_FIX = "check the connection's namespace and credentials, and the role in docs/configuration.md"


class ApiError(Exception):
    """An error answer of the API server, or no answer.

    Every request retries by :attr:`passing`, whatever it is for: submit, watch, cancel, events, logs.

    Attributes:
        status: HTTP status; 0 without an answer.
        message: The server's message.
        reason: The server's reason, e.g. ``AlreadyExists``.
        retry_after_seconds: Requested wait; 0 without one.
        of_server: Whether the API server answered, not a proxy before it.
    """

    def __init__(
        self,
        status: int,
        message: str,
        *,
        reason: str = "",
        retry_after_seconds: float = 0.0,
        of_server: bool = True,
    ) -> None:
        super().__init__(f"{status}: {message}")
        self.status = status
        self.message = message
        self.reason = reason
        self.retry_after_seconds = retry_after_seconds
        self.of_server = of_server

    @property
    def transient(self) -> bool:
        """Whether the server is unavailable, busy or failing, and has not judged the request."""
        if self.refuses_access:
            return False
        return (
            not self.of_server
            or self.status == 0
            or self.status in BUSY
            or self.status >= 500
            or (self.status == 409 and self.reason == "Conflict")
        )

    @property
    def refuses_access(self) -> bool:
        """Whether the credentials or permissions are rejected, not the request.

        Examples are an expired token, and roles that are not loaded yet.
        """
        return self.status == 401 or (self.status == 403 and refusal(self.message) is None)

    @property
    def passing(self) -> bool:
        """Whether the same request may succeed later without anyone changing anything."""
        return self.transient or self.refuses_access

    @classmethod
    def of_body(cls, status: int, body: bytes, retry_after: str | None) -> ApiError:
        """Build it from an answer, whose body is a ``Status`` object or anything from a proxy on the way."""
        seconds = float(retry_after) if retry_after and re.fullmatch("[0-9]{1,4}", retry_after) else 0.0
        try:
            document = parse_object(body)
            message, reason = str(document["message"]), str(document.get("reason"))
            of_server = document.get("kind") == "Status"
        except PARSER_ERRORS:
            message, reason, of_server = body.decode(errors="replace").strip()[:300] or "no message", "", False
        return cls(status, message, reason=reason, retry_after_seconds=seconds, of_server=of_server)

    def explained(self, doing: str, namespace: str) -> NightjarError:
        """Return the error for a person, by kind of rejection."""
        where = f"Kubernetes, namespace {namespace}"
        what = f"cannot {doing}: {self.message}"
        if self.transient:
            status = f" (HTTP {self.status})" if self.status else ""
            return UnreachableError(
                f"the Kubernetes API does not answer{status}; {what}",
                where=where,
                fix="check the cluster and the training connection; the task attaches again when it is retried",
            )
        if self.status == 403 and refusal(self.message) == "quota":
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
        if self.refuses_access:
            return ConfigurationError(self._access(namespace), where=where, fix=ACCESS_FIX)
        return ConfigurationError(what, where=where, fix="correct the training connection or the use case's resources")

    def unwatched(self, doing: str, namespace: str) -> UnreachableError:
        """Return the error of a Job that could not be observed for a long time.

        The Job may still run, and the next attempt attaches to it.
        """
        return UnreachableError(
            self._access(namespace) if self.refuses_access else self.explained(doing, namespace).what,
            where=f"Kubernetes, namespace {namespace}",
            fix=f"{ACCESS_FIX}; the Job continues, another attempt attaches to it, and clearing the task ends it",
        )

    def _access(self, namespace: str) -> str:
        # A role in one namespace gets the same answer when the namespace does not exist.
        missing = f" (or the namespace {namespace} does not exist)" if self.status == 403 else ""
        return f"the cluster refuses Airflow: {self.message}{missing}"

"""Calls of MLflow's REST API without the MLflow client, whose import takes 9 s on a small machine.

API: https://mlflow.org/docs/latest/rest-api.html
"""

from __future__ import annotations

import base64
import json
import logging
import os
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Mapping
from http.client import HTTPException
from typing import Any

import tenacity

from nightjar.protocol.documents import PARSER_ERRORS, parse_object, reading
from nightjar.protocol.errors import ConfigurationError, ModelError, UnreachableError

log = logging.getLogger(__name__)
TIMEOUT_SECONDS = 5.0
PAUSES_SECONDS = (0.5, 2.0)
"""Pauses between attempts of a GET: one lost answer must not lead to scoring without the champion."""


def call(uri: str, method: str, path: str, arguments: Mapping[str, Any]) -> dict[str, Any] | None:
    """Call ``/api/2.0/mlflow/<path>``.

    Args:
        uri: The MLflow server.
        method: ``GET`` (arguments in the address) or ``POST`` (arguments as JSON).
        path: E.g. ``model-versions/get``.
        arguments: By MLflow's names.

    Returns:
        The response; None when the server says that the resource does not exist.

    Raises:
        UnreachableError: when the server does not answer within seconds; a ``GET`` is tried three times.
        ModelError: when the server rejects the call.
    """
    if not uri.startswith(("http://", "https://")):
        raise ConfigurationError(
            f"{uri!r} is not the address of an MLflow server",
            where="MLFLOW_TRACKING_URI",
            fix="set it to http://host:port",
        )
    address = f"{uri}/api/2.0/mlflow/{path}"
    data = None
    if method == "GET":
        address += "?" + urllib.parse.urlencode(arguments)
    else:
        data = json.dumps(arguments).encode()
    request = urllib.request.Request(address, data=data, method=method, headers=_headers())  # noqa: S310 (checked above)
    attempts = tenacity.Retrying(
        retry=tenacity.retry_if_exception_type(UnreachableError),
        stop=tenacity.stop_after_attempt(len(PAUSES_SECONDS) + 1 if method == "GET" else 1),
        wait=tenacity.wait_chain(*map(tenacity.wait_fixed, PAUSES_SECONDS)),
        before_sleep=_log_retry,
        reraise=True,
    )
    return attempts(_open, request, uri)


def _log_retry(state: tenacity.RetryCallState) -> None:
    error = state.outcome.exception() if state.outcome else None
    reason = error.what if isinstance(error, UnreachableError) else error
    log.warning("%s; retry in %g s", reason, state.upcoming_sleep)


def _open(request: urllib.request.Request, uri: str) -> dict[str, Any] | None:
    try:
        with urllib.request.urlopen(request, timeout=TIMEOUT_SECONDS) as response:  # noqa: S310
            return parse_object(response.read())
    except urllib.error.HTTPError as error:
        _check_refusal(request.full_url, error)
        return None
    except (OSError, HTTPException, *PARSER_ERRORS) as error:  # URLError, timeouts and answers that are not JSON
        raise _unreachable(uri, error) from error


def experiment_id(uri: str, name: str) -> str:
    """Return the id of the experiment, which is created when missing; safe for concurrent callers.

    Raises:
        UnreachableError, ModelError: as :func:`call`.
    """
    with reading("MLflow's answer", where=uri, fix="check MLFLOW_TRACKING_URI", error=UnreachableError):
        if response := call(uri, "GET", "experiments/get-by-name", {"experiment_name": name}):
            return str(response["experiment"]["experiment_id"])
        try:
            return str((call(uri, "POST", "experiments/create", {"name": name}) or {})["experiment_id"])
        except ModelError:
            response = call(uri, "GET", "experiments/get-by-name", {"experiment_name": name})
            if not response:
                raise
            return str(response["experiment"]["experiment_id"])


def _check_refusal(address: str, error: urllib.error.HTTPError) -> None:
    """Accept that the resource does not exist; raise for any other error of the server."""
    try:
        document = parse_object(error.read())
    except (OSError, HTTPException, *PARSER_ERRORS):
        document = {}
    if document.get("error_code") == "RESOURCE_DOES_NOT_EXIST":
        return
    if error.code >= 500 or error.code == 429:
        raise _unreachable(address, error) from error
    raise ModelError(
        f"MLflow refused ({error.code}): {_first_line(document.get('message') or error.reason)}",
        where=address.split("?")[0],
        fix="check the model's name and version, and the credentials (MLFLOW_TRACKING_TOKEN, _USERNAME, _PASSWORD)",
    ) from error


def _first_line(message: object) -> str:
    return (str(message).splitlines() or ["no reason given"])[0][:300]


def _unreachable(where: str, error: Exception) -> UnreachableError:
    return UnreachableError(
        f"MLflow does not answer ({error})",
        where=where,
        fix="start the MLflow server or correct MLFLOW_TRACKING_URI, then clear the task",
    )


def _headers() -> dict[str, str]:
    headers = {"Content-Type": "application/json"}
    if token := os.environ.get("MLFLOW_TRACKING_TOKEN"):
        headers["Authorization"] = f"Bearer {token}"
    elif user := os.environ.get("MLFLOW_TRACKING_USERNAME"):
        password = os.environ.get("MLFLOW_TRACKING_PASSWORD", "")
        headers["Authorization"] = "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()
    return headers

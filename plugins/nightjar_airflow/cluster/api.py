"""Requests to the Kubernetes API: JSON in and out, attempts where another may succeed, streams of lines."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, Mapping
from typing import TYPE_CHECKING, Any

from nightjar_airflow.cluster.api_error import ApiError

if TYPE_CHECKING:
    from kubernetes_asyncio.client import ApiClient

ATTEMPTS = 6
FIRST_PAUSE_SECONDS = 0.5
LONGEST_PAUSE_SECONDS = 20.0

Json = dict[str, Any]


class KubernetesApi:
    """The API server, through the official client: its addresses, certificates and tokens, our JSON.

    Args:
        connection: An open client.
    """

    def __init__(self, connection: ApiClient) -> None:
        self._connection = connection

    async def json(self, method: str, path: str, query: Mapping[str, Any] | None = None, body: Any = None) -> Json:
        """The answer to one request, attempted again while the server is busy or away.

        Raises:
            ApiError: when it refuses, or still does not answer after :data:`ATTEMPTS`.
        """
        pause = FIRST_PAUSE_SECONDS
        for attempt in range(ATTEMPTS):
            try:
                async with Answer(self._connection, method, path, query or {}, body) as answer:
                    document: Json = json.loads(await answer.response.read())
                    return document
            except ApiError as error:
                if not error.transient or attempt == ATTEMPTS - 1:
                    raise
                await asyncio.sleep(max(pause, error.retry_after_seconds))
                pause = min(2 * pause, LONGEST_PAUSE_SECONDS)
        raise AssertionError("unreachable")

    async def lines(self, path: str, query: Mapping[str, Any], *, seconds: float) -> AsyncGenerator[bytes, None]:
        """The lines of a stream as they come, until the server ends it. One attempt.

        Raises:
            ApiError: when the server refuses; status 0 when the connection breaks or ``seconds`` are over.
        """
        async with Answer(self._connection, "GET", path, query, None, seconds=seconds) as answer:
            rest = b""
            async for piece in answer.response.content.iter_any():
                *lines, rest = (rest + piece).split(b"\n")
                for line in lines:
                    yield line
            if rest:
                yield rest


class Answer:
    """One request and its answer's head; errors of status and transport become :class:`ApiError`."""

    def __init__(
        self,
        connection: ApiClient,
        method: str,
        path: str,
        query: Mapping[str, Any],
        body: Any,
        *,
        seconds: float | None = None,
    ) -> None:
        self._connection = connection
        self._request = (path, method)
        self._parameters = {
            "query_params": list(query.items()),
            "body": body,
            "_request_timeout": seconds,
            "_preload_content": False,
            "header_params": {"Accept": "application/json", "Content-Type": "application/json"},
            "auth_settings": ["BearerToken"],
            "_return_http_data_only": True,
        }
        self.response: Any = None

    async def __aenter__(self) -> Answer:
        try:
            self.response = await self._connection.call_api(*self._request, **self._parameters)
            if self.response.status >= 300:
                body = await self.response.read()
                raise ApiError.of_body(self.response.status, body, self.response.headers.get("Retry-After"))
        except BaseException as error:
            if self.response is not None:
                self.response.release()
            self._translate(error)
            raise
        return self

    async def __aexit__(self, kind: object, error: BaseException | None, traceback: object) -> None:
        # Not read to its end, an answer's connection is of no further use.
        self.response.close()
        self._translate(error)

    @staticmethod
    def _translate(error: BaseException | None) -> None:
        import aiohttp

        if isinstance(error, (aiohttp.ClientError, TimeoutError, OSError, json.JSONDecodeError)):
            raise ApiError(0, f"{type(error).__name__}: {error}".rstrip(": ")) from error

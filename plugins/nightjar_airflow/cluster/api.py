"""Requests to the Kubernetes API: JSON in and out, with retries, and streams of lines."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import tenacity

from nightjar.protocol.documents import PARSER_ERRORS, parse_object
from nightjar.protocol.errors import first_line
from nightjar_airflow.cluster.api_error import ApiError

if TYPE_CHECKING:
    from kubernetes_asyncio.client import ApiClient

ATTEMPTS = 10
FIRST_PAUSE_SECONDS = 0.5
LONGEST_PAUSE_SECONDS = 20.0
OPEN_SECONDS = 60.0
"""Time limit for reading the credentials, including the ``exec`` program of a kubeconfig."""

Json = dict[str, Any]


class KubernetesApi:
    """The API server through the official client: its addresses, certificates and tokens, with plain JSON.

    When the server rejects the credentials (401), the next request opens another client with fresh ones. The earlier
    client is closed after its last request: a read in progress would wait for ever in a closed one, as aiohttp then
    drops both the read and its time limit.

    Args:
        connect: Opens a client with current credentials.
    """

    def __init__(self, connect: Callable[[], AbstractAsyncContextManager[ApiClient]]) -> None:
        self._connect = connect
        self._connection: Connection | None = None
        self._opening = asyncio.Lock()

    async def close(self) -> None:
        """Close the client; no request may be in progress."""
        if self._connection is not None:
            await self._connection.close()

    async def json(self, method: str, path: str, query: Mapping[str, Any] | None = None, body: Any = None) -> Json:
        """Return the answer to one request; retry while a retry may succeed.

        Raises:
            ApiError: for a lasting rejection, or when :data:`ATTEMPTS` are used up.
        """
        attempts = tenacity.AsyncRetrying(
            retry=tenacity.retry_if_exception(lambda error: isinstance(error, ApiError) and error.passing),
            stop=tenacity.stop_after_attempt(ATTEMPTS),
            wait=_pause,
            reraise=True,
        )
        return await attempts(self._json_once, method, path, query or {}, body)

    async def _json_once(self, method: str, path: str, query: Mapping[str, Any], body: Any) -> Json:
        async with self._answer(method, path, query, body) as answer:
            content = await answer.response.read()
            try:
                return parse_object(content)
            except PARSER_ERRORS as error:
                raise ApiError(0, f"the answer is not a JSON object ({first_line(error)})") from error

    async def lines(self, path: str, query: Mapping[str, Any], *, seconds: float) -> AsyncGenerator[bytes, None]:
        """Yield the lines of a stream as they arrive, until the server ends it. One attempt.

        Raises:
            ApiError: when the server rejects the request; status 0 when the connection breaks or ``seconds`` have
                passed.
        """
        async with self._answer("GET", path, query, None, seconds=seconds) as answer:
            rest = b""
            async for piece in answer.response.content.iter_any():
                *lines, rest = (rest + piece).split(b"\n")
                for line in lines:
                    yield line
            if rest:
                yield rest

    @asynccontextmanager
    async def _answer(
        self, method: str, path: str, query: Mapping[str, Any], body: Any, *, seconds: float | None = None
    ) -> AsyncIterator[Answer]:
        connection = await self._current()
        connection.requests += 1
        try:
            async with Answer(connection.client, method, path, query, body, seconds=seconds) as answer:
                yield answer
        except ApiError as error:
            if error.status == 401 and self._connection is connection:
                self._connection = None
            raise
        finally:
            connection.requests -= 1
            if self._connection is not connection and not connection.requests:
                await connection.close()

    async def _current(self) -> Connection:
        async with self._opening:
            if self._connection is None:
                opened = AsyncExitStack()
                try:
                    async with asyncio.timeout(OPEN_SECONDS):
                        client = await opened.enter_async_context(self._connect())
                # Airflow, the kubeconfig and any auth plugin take part in this; a plugin's failure may be temporary.
                except Exception as error:
                    message = f"the credentials cannot be read ({type(error).__name__}: {error})"
                    raise ApiError(0, message) from error
                self._connection = Connection(client, opened.aclose)
            return self._connection


def _pause(state: tenacity.RetryCallState) -> float:
    """Return the seconds before the next attempt: exponentially more, and at least what the server asks for."""
    error = state.outcome.exception() if state.outcome else None
    asked = error.retry_after_seconds if isinstance(error, ApiError) else 0.0
    return max(tenacity.wait_exponential(FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS)(state), asked)


@dataclass(eq=False)
class Connection:
    """A client with the credentials of one moment.

    Attributes:
        client: The official client.
        close: Closes it.
        requests: How many are in progress.
    """

    client: ApiClient
    close: Callable[[], Awaitable[None]]
    requests: int = 0


class Answer:
    """One request and the head of its answer; status and transport errors become :class:`ApiError`."""

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
        # The connection of an answer that was not read to its end cannot be reused.
        self.response.close()
        self._translate(error)

    @staticmethod
    def _translate(error: BaseException | None) -> None:
        import aiohttp

        if isinstance(error, (aiohttp.ClientError, TimeoutError, OSError, json.JSONDecodeError)):
            raise ApiError(0, f"{type(error).__name__}: {error}".rstrip(": ")) from error

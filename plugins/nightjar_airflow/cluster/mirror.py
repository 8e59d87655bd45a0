"""A live copy of a list of Kubernetes objects, kept by list and watch, like in a controller."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from contextlib import aclosing

from nightjar.protocol.documents import PARSER_ERRORS, parse_object
from nightjar.protocol.errors import first_line
from nightjar_airflow.cluster.api import Json, KubernetesApi
from nightjar_airflow.cluster.api_error import ApiError

WATCH_SECONDS = 60
"""Lifetime of a watch, so that a connection that died silently is noticed."""
PAUSE_SECONDS = 1.0
LONGEST_PAUSE_SECONDS = 15.0
UNREACHABLE_SECONDS = 600.0
"""Time after which an API server that is unavailable, or rejects Airflow, is given up."""
GONE = 410


class Mirror:
    """Objects by name, as last reported by the API server.

    A broken watch resumes where it stopped; when the server has forgotten that version (410), all objects are listed
    again.

    Args:
        api: The API server.
        path: Path of the collection, e.g. ``/api/v1/namespaces/ml/pods``.
        query: Selector.
        on_change: Called with all objects, and with those deleted since the last call.
    """

    def __init__(
        self,
        api: KubernetesApi,
        path: str,
        query: Json,
        on_change: Callable[[dict[str, Json], dict[str, Json]], None],
    ) -> None:
        self._api = api
        self._path = path
        self._query = query
        self._on_change = on_change
        self._objects: dict[str, Json] = {}
        self._version: str | None = None
        self._heard = time.monotonic()

    async def run(self) -> None:
        """Keep the copy up to date until cancelled.

        Raises:
            ApiError: for an invalid request, or when the server is unavailable or rejects Airflow for
                :data:`UNREACHABLE_SECONDS`.
        """
        pause = PAUSE_SECONDS
        while True:
            heard = self._heard
            try:
                if self._version is None:
                    await self._list()
                await self._watch()
                self._heard = time.monotonic()
                pause = PAUSE_SECONDS
            except ApiError as error:
                if error.status == GONE:
                    self._version = None
                elif not error.passing or time.monotonic() - self._heard > UNREACHABLE_SECONDS:
                    raise
                pause = PAUSE_SECONDS if self._heard > heard else min(2 * pause, LONGEST_PAUSE_SECONDS)
                pause = max(pause, error.retry_after_seconds)
            await asyncio.sleep(pause)

    async def _list(self) -> None:
        answer = await self._api.json("GET", self._path, self._query)
        try:
            listed = {item["metadata"]["name"]: item for item in answer["items"]}
            version = answer["metadata"]["resourceVersion"]
        except PARSER_ERRORS as error:
            raise ApiError(0, f"the answer is not a list of objects ({first_line(error)})") from error
        deleted = {name: self._objects[name] for name in self._objects if name not in listed}
        self._objects = listed
        self._version = version
        self._heard = time.monotonic()
        self._on_change(self._objects, deleted)

    async def _watch(self) -> None:
        query = {
            **self._query,
            "watch": "true",
            "resourceVersion": self._version,
            "allowWatchBookmarks": "true",
            "timeoutSeconds": WATCH_SECONDS,
        }
        async with aclosing(self._api.lines(self._path, query, seconds=WATCH_SECONDS + 15)) as lines:
            async for line in lines:
                self._take(line)

    def _take(self, line: bytes) -> None:
        try:
            event = parse_object(line)
            self._heard = time.monotonic()
            kind, thing = event["type"], event["object"]
            if kind == "ERROR":
                raise ApiError(int(thing.get("code") or 0), str(thing.get("message")))
            version = thing["metadata"]["resourceVersion"]
            name = "" if kind == "BOOKMARK" else thing["metadata"]["name"]
        except PARSER_ERRORS as error:
            raise ApiError(0, f"a watch broke off in the middle of a line ({first_line(error)})") from error
        self._version = version
        if kind == "BOOKMARK":
            return
        if kind == "DELETED":
            self._objects.pop(name, None)
            self._on_change(self._objects, {name: thing})
        else:
            self._objects[name] = thing
            self._on_change(self._objects, {})

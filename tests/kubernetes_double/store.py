"""Objects with resource versions, and their history for watches."""

from __future__ import annotations

import copy
import itertools
import threading
import uuid
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

Json = dict[str, Any]
Key = tuple[str, str, str]


class Refused(Exception):
    """An error answer: HTTP status, reason and message, as in a Status object."""

    def __init__(self, status: int, reason: str, message: str) -> None:
        super().__init__(message)
        self.status, self.reason, self.message = status, reason, message

    def body(self) -> Json:
        return {
            "kind": "Status",
            "apiVersion": "v1",
            "status": "Failure",
            "reason": self.reason,
            "message": self.message,
            "code": self.status,
        }


def now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


class Store:
    """etcd and the API server's watch cache."""

    def __init__(self) -> None:
        self.changed = threading.Condition(threading.RLock())
        self._objects: dict[Key, Json] = {}
        self._history: list[tuple[int, str, str, Json]] = []
        self._versions = itertools.count(1)
        self._version = 0
        self._oldest = 0

    @property
    def version(self) -> str:
        return str(self._version)

    def create(self, kind: str, thing: Json) -> Json:
        with self.changed:
            metadata = thing["metadata"]
            key = (kind, metadata["namespace"], metadata["name"])
            if key in self._objects:
                raise Refused(409, "AlreadyExists", f'{kind} "{metadata["name"]}" already exists')
            thing = copy.deepcopy(thing)
            thing["metadata"].update(uid=str(uuid.uuid4()), creationTimestamp=now())
            self._objects[key] = thing
            return self._record("ADDED", key, thing)

    def read(self, kind: str, namespace: str, name: str) -> Json:
        with self.changed:
            try:
                return copy.deepcopy(self._objects[kind, namespace, name])
            except KeyError:
                raise Refused(404, "NotFound", f'{kind} "{name}" not found') from None

    def update(self, kind: str, namespace: str, name: str, change: Callable[[Json], None]) -> None:
        """Apply ``change`` to an object, if it is still there; say so to watches when it made a difference."""
        with self.changed:
            key = (kind, namespace, name)
            if key not in self._objects:
                return
            before = copy.deepcopy(self._objects[key])
            change(self._objects[key])
            if self._objects[key] != before:
                self._record("MODIFIED", key, self._objects[key])

    def remove(self, kind: str, namespace: str, name: str) -> None:
        with self.changed:
            key = (kind, namespace, name)
            if key in self._objects:
                self._record("DELETED", key, self._objects.pop(key))

    def list(self, kind: str, fits: Callable[[Json], bool] = lambda _: True) -> list[Json]:
        with self.changed:
            found = [thing for key, thing in self._objects.items() if key[0] == kind and fits(thing)]
            return copy.deepcopy(found)

    def forget_history(self) -> None:
        """Compact the history, so that an older watch gets 410 Gone."""
        with self.changed:
            self._version = self._oldest = next(self._versions)
            self._history.clear()
            self.changed.notify_all()

    def events_after(self, kind: str, version: int, fits: Callable[[Json], bool]) -> Iterator[tuple[int, str, Json]]:
        """What happened to objects of a kind since ``version``.

        Raises:
            Refused: when that is further back than the history goes.
        """
        with self.changed:
            if version < self._oldest:
                raise Refused(410, "Expired", f"too old resource version: {version} ({self._version})")
            events = [(v, t, copy.deepcopy(o)) for v, k, t, o in self._history if k == kind and v > version and fits(o)]
        yield from events

    def _record(self, what: str, key: Key, thing: Json) -> Json:
        self._version = next(self._versions)
        thing["metadata"]["resourceVersion"] = self.version
        self._history.append((self._version, key[0], what, copy.deepcopy(thing)))
        self.changed.notify_all()
        return copy.deepcopy(thing)

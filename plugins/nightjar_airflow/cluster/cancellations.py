"""Pending cancellations of Jobs, stored in the lake: they survive an unavailable API and a killed Airflow process."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from pydantic import AwareDatetime

from nightjar.lake import files
from nightjar.protocol.documents import dump_json, load_json, reading
from nightjar.protocol.errors import ConfigurationError, NightjarError
from nightjar.settings.environment import Settings

if TYPE_CHECKING:
    from nightjar_airflow.hooks.training_cluster import TrainingClusterHook

FOLDER = "_runs/_cancelled_jobs"

log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Cancellation:
    """A Job that no task waits for any more.

    Attributes:
        conn_id: The training connection.
        namespace: Namespace of the Job.
        job: Name of the Job.
        asked_at: Time of the request. A Job of that name that was created after it is not cancelled.
    """

    conn_id: str
    namespace: str
    job: str
    asked_at: AwareDatetime

    @classmethod
    def now(cls, cluster: TrainingClusterHook, job: str) -> Cancellation:
        """Return the cancellation of a Job as of now."""
        return cls(conn_id=cluster.conn_id, namespace=cluster.namespace, job=job, asked_at=datetime.now(UTC))

    def is_of(self, cluster: TrainingClusterHook) -> bool:
        """Return whether the Job is of this connection and namespace."""
        return (self.conn_id, self.namespace) == (cluster.conn_id, cluster.namespace)

    @property
    def uri(self) -> str:
        """Location of the stored cancellation in the lake."""
        return f"{_folder()}/{self.job}.json"


async def cancel(cluster: TrainingClusterHook, job: str) -> None:
    """Store the cancellation in the lake, cancel the Job unless it has ended, then delete the stored cancellation.

    Raises:
        NightjarError: when the API does not cancel the Job; :func:`retry_pending` retries a stored cancellation later.
    """
    cancellation = Cancellation.now(cluster, job)
    try:
        await asyncio.to_thread(files.write_text, cancellation.uri, dump_json(cancellation))
    except NightjarError as error:
        log.error("the cancellation of the Job %s is not stored in the lake: %s", job, error)
    await _carry_out(cluster, cancellation)


async def retry_pending(cluster: TrainingClusterHook) -> None:
    """Retry the pending cancellations of this connection and namespace; stop at the first error."""
    try:
        for cancellation in await asyncio.to_thread(_pending):
            if cancellation.is_of(cluster):
                await _carry_out(cluster, cancellation)
    except NightjarError as error:
        log.warning("Jobs to be cancelled are left for later: %s", error)


async def _carry_out(cluster: TrainingClusterHook, cancellation: Cancellation) -> None:
    await cluster.cancel_unless_ended(cancellation.job, made_before=cancellation.asked_at)
    try:
        await asyncio.to_thread(files.delete_file, cancellation.uri)
    except NightjarError as error:
        log.warning("%s remains, although its Job is cancelled: %s", cancellation.uri, error)


def _pending() -> list[Cancellation]:
    pending = []
    for name in files.list_files(_folder()):
        uri = f"{_folder()}/{name}"
        try:
            with reading("a pending cancellation", where=uri, fix="delete the file"):
                pending.append(load_json(Cancellation, files.read_bytes(uri)))
        except FileNotFoundError:
            continue  # done by another process meanwhile
        except ConfigurationError as error:
            log.warning("%s", error)
    return pending


def _folder() -> str:
    return f"{Settings.from_environment().lake}/{FOLDER}"

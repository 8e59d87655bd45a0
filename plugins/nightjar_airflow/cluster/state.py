"""The known state of a Job and its pods, and functions to read it."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from nightjar_airflow.cluster.manifests import CONTAINER, RANK_ANNOTATION

Json = dict[str, Any]


@dataclass
class JobState:
    """A Job, its pods and warnings about them.

    Attributes:
        job: The Job; None before it is seen and after it is gone.
        gone: Whether the Job no longer exists.
        pods: Existing pods by name.
        vanished: Last seen state of pods that no longer exist, by name.
        removed: Pods that were deleted while they ran and before any other had failed, unlike those that the Job
            deletes after a failure.
        warnings: Warning events about the Job, its pods and its place in a queue, oldest first.
        failing_since: Time at which the first pod failed or was deleted.
    """

    job: Json | None = None
    gone: bool = False
    pods: dict[str, Json] = field(default_factory=dict)
    vanished: dict[str, Json] = field(default_factory=dict)
    removed: dict[str, Json] = field(default_factory=dict)
    warnings: list[Json] = field(default_factory=list)
    failing_since: datetime | None = None

    @property
    def suspended(self) -> bool:
        """Whether the Job waits in a queue; then the deletion of its pods is not a failure."""
        return bool(self.job and self.job["spec"].get("suspend"))

    @property
    def started(self) -> int:
        """Number of pods whose program has started."""
        return sum(has_started(pod) for pod in self.pods.values())

    def take_job(self, job: Json | None) -> None:
        """Update the Job."""
        self.job, self.gone = job, job is None
        if self.suspended:
            self.vanished, self.removed, self.failing_since = {}, {}, None

    def take_pods(self, pods: dict[str, Json], deleted: dict[str, Json], now: datetime) -> None:
        """Update the pods, in the order of events."""
        going = {name: pod for name, pod in pods.items() if _going(pod)}
        taken = {name: pod for name, pod in {**going, **deleted}.items() if not is_over(pod)}
        if not self.suspended and self.failing_since is None:
            self.removed.update({name: pod for name, pod in taken.items() if _came_first(pod, pods)})
        self.pods = dict(pods)
        self.vanished.update(deleted)
        if self.failing_since is None and (self.removed or any(has_failed(pod) for pod in pods.values())):
            self.failing_since = now

    def warnings_of(self, thing: Json) -> list[Json]:
        """Return the warnings about one Job or pod, without those of a namesake."""
        uid = thing["metadata"].get("uid")
        return [event for event in self.warnings if event["involvedObject"].get("uid") == uid]

    def pod_of(self, rank: int) -> Json | None:
        """Return the latest pod of a rank."""
        pods = [pod for pod in self.pods.values() if rank_of(pod) == rank]
        return max(pods, key=lambda pod: str(pod["metadata"].get("creationTimestamp")), default=None)


def rank_of(pod: Json) -> int:
    """Return the rank of a pod; -1 for a pod without a rank."""
    return int(pod["metadata"].get("annotations", {}).get(RANK_ANNOTATION, -1))


def rank_name(pod: Json, world_size: int) -> str:
    """Return a pod's rank, for a message."""
    return f"rank {rank_of(pod)} of {world_size}"


def where_is(pod: Json) -> str:
    """Return a pod and its node, for a message."""
    node = pod["spec"].get("nodeName")
    return f"pod {pod['metadata']['name']}" + (f" on node {node}" if node else "")


def container(pod: Json) -> Json:
    """Return the status of the container that runs the rank; empty before it exists."""
    statuses: list[Json] = pod.get("status", {}).get("containerStatuses") or []
    return next((status for status in statuses if status["name"] == CONTAINER), {})


def has_started(pod: Json) -> bool:
    """Return whether the pod's program has started."""
    state = container(pod).get("state", {})
    return "running" in state or "terminated" in state


def is_over(pod: Json) -> bool:
    """Return whether the pod has succeeded or failed."""
    return pod.get("status", {}).get("phase") in ("Succeeded", "Failed")


def has_failed(pod: Json) -> bool:
    """Return whether the pod has failed, or the cluster is removing it."""
    return bool(condition(pod, "DisruptionTarget") or pod.get("status", {}).get("phase") == "Failed")


def terminated(pod: Json) -> Json:
    """Return how the rank's container ended; empty while it runs."""
    end: Json = container(pod).get("state", {}).get("terminated") or {}
    return end


def moment(text: str | None) -> datetime | None:
    """Parse a time of the cluster."""
    return datetime.fromisoformat(text.replace("Z", "+00:00")).astimezone(UTC) if text else None


def removed_at(pod: Json) -> datetime | None:
    """Return when a pod's deletion was requested; the cluster stores the end of its grace period."""
    over = moment(pod["metadata"].get("deletionTimestamp"))
    grace = timedelta(seconds=int(pod["metadata"].get("deletionGracePeriodSeconds") or 0))
    return over and over - grace


def condition(thing: Json, kind: str) -> Json:
    """Return the condition ``kind`` of a Job or pod if it is true, otherwise empty."""
    conditions: list[Json] = thing.get("status", {}).get("conditions") or []
    return next((c for c in conditions if c["type"] == kind and c["status"] == "True"), {})


def ended(job: Json) -> bool:
    """Return whether a Job is complete or has failed."""
    return bool(condition(job, "Complete") or condition(job, "Failed"))


def _came_first(removed: Json, pods: dict[str, Json]) -> bool:
    """Return whether a pod was deleted before another failed, when both are learned of together, as after a break.

    A Job deletes its other pods right after the first failure, and the time of a completed deletion is not known.
    """
    ends = [moment(terminated(pod).get("finishedAt")) for pod in pods.values() if has_failed(pod) and not _going(pod)]
    if not ends:
        return True
    removal, first = removed_at(removed), min((end for end in ends if end), default=None)
    return removal is not None and first is not None and removal < first


def _going(pod: Json) -> bool:
    return "deletionTimestamp" in pod["metadata"]

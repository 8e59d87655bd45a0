"""What is known of a Job and its pods at one moment, and how to read it."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from nightjar_airflow.cluster.manifests import CONTAINER, RANK_ANNOTATION

Json = dict[str, Any]


@dataclass
class JobState:
    """A Job, its pods and what was said of it.

    Attributes:
        job: The Job; None before it was seen, and after it is gone.
        gone: Whether it was looked for and is not there.
        pods: Name to pod, of those that are there.
        vanished: Name to the last that was seen of a pod that is not there any more.
        removed: Pods that somebody removed while they ran and no other had failed; those that the Job sweeps away
            after a failure come later.
        warnings: Events of trouble with the Job, its pods and its place in a queue, oldest first.
        failing_since: When a first pod had failed or was removed.
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
        """Whether the Job waits in a queue; its pods are removed without that being a failure."""
        return bool(self.job and self.job["spec"].get("suspend"))

    @property
    def started(self) -> int:
        """Number of pods whose program has begun."""
        return sum(has_started(pod) for pod in self.pods.values())

    def take_job(self, job: Json | None) -> None:
        """A new word on the Job."""
        self.job, self.gone = job, job is None
        if self.suspended:
            self.vanished, self.removed, self.failing_since = {}, {}, None

    def take_pods(self, pods: dict[str, Json], deleted: dict[str, Json], now: datetime) -> None:
        """A new word on the pods, in the order in which things happened to them."""
        going = {name: pod for name, pod in pods.items() if _going(pod)}
        taken = {name: pod for name, pod in {**going, **deleted}.items() if not is_over(pod)}
        if not self.suspended and self.failing_since is None:
            self.removed.update({name: pod for name, pod in taken.items() if _came_first(pod, pods)})
        self.pods = dict(pods)
        self.vanished.update(deleted)
        if self.failing_since is None and (self.removed or any(has_failed(pod) for pod in pods.values())):
            self.failing_since = now

    def warnings_of(self, thing: Json) -> list[Json]:
        """Events of one Job or pod; of another that had its name before, none."""
        uid = thing["metadata"].get("uid")
        return [event for event in self.warnings if event["involvedObject"].get("uid") == uid]

    def pod_of(self, rank: int) -> Json | None:
        """The latest pod of a rank."""
        pods = [pod for pod in self.pods.values() if rank_of(pod) == rank]
        return max(pods, key=lambda pod: str(pod["metadata"].get("creationTimestamp")), default=None)


def rank_of(pod: Json) -> int:
    return int(pod["metadata"].get("annotations", {}).get(RANK_ANNOTATION, -1))


def rank_name(pod: Json, world_size: int) -> str:
    """A pod's rank, for a message."""
    return f"rank {rank_of(pod)} of {world_size}"


def where_is(pod: Json) -> str:
    """A pod and its node, for a message."""
    node = pod["spec"].get("nodeName")
    return f"pod {pod['metadata']['name']}" + (f" on node {node}" if node else "")


def container(pod: Json) -> Json:
    """The status of the container that runs the rank; empty before there is one."""
    statuses: list[Json] = pod.get("status", {}).get("containerStatuses") or []
    return next((status for status in statuses if status["name"] == CONTAINER), {})


def has_started(pod: Json) -> bool:
    state = container(pod).get("state", {})
    return "running" in state or "terminated" in state


def is_over(pod: Json) -> bool:
    return pod.get("status", {}).get("phase") in ("Succeeded", "Failed")


def has_failed(pod: Json) -> bool:
    """Whether the pod has failed, or is being taken by the cluster."""
    return bool(condition(pod, "DisruptionTarget") or pod.get("status", {}).get("phase") == "Failed")


def terminated(pod: Json) -> Json:
    """How the rank's container ended; empty while it has not."""
    found: Json = container(pod).get("state", {}).get("terminated") or {}
    return found


def moment(text: str | None) -> datetime | None:
    """A time as the cluster writes it."""
    return datetime.fromisoformat(text.replace("Z", "+00:00")).astimezone(UTC) if text else None


def removed_at(pod: Json) -> datetime | None:
    """When a pod's removal was asked for; the cluster notes when its grace is over."""
    over = moment(pod["metadata"].get("deletionTimestamp"))
    grace = timedelta(seconds=int(pod["metadata"].get("deletionGracePeriodSeconds") or 0))
    return over and over - grace


def condition(thing: Json, kind: str) -> Json:
    """The condition ``kind`` of a Job or pod, when it is true; else empty."""
    conditions: list[Json] = thing.get("status", {}).get("conditions") or []
    return next((c for c in conditions if c["type"] == kind and c["status"] == "True"), {})


def ended(job: Json) -> bool:
    """Whether a Job is complete or has failed; its pods are gone or going."""
    return bool(condition(job, "Complete") or condition(job, "Failed"))


def _came_first(removed: Json, pods: dict[str, Json]) -> bool:
    """Whether a pod was removed before another had failed, where both are learned of together, as after a break.

    A Job removes its other pods right after the first failure, and nobody knows when a pod was removed that is gone.
    """
    ends = [moment(terminated(pod).get("finishedAt")) for pod in pods.values() if has_failed(pod) and not _going(pod)]
    if not ends:
        return True
    removal, first = removed_at(removed), min((end for end in ends if end), default=None)
    return removal is not None and first is not None and removal < first


def _going(pod: Json) -> bool:
    return "deletionTimestamp" in pod["metadata"]

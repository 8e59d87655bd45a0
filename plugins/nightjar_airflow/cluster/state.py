"""What is known of a Job and its pods at one moment, and how to read it."""

from __future__ import annotations

from dataclasses import dataclass, field
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
        events: Events of the Job, oldest first.
    """

    job: Json | None = None
    gone: bool = False
    pods: dict[str, Json] = field(default_factory=dict)
    vanished: dict[str, Json] = field(default_factory=dict)
    events: list[Json] = field(default_factory=list)

    @property
    def started(self) -> int:
        """Number of pods whose program has begun."""
        return sum(has_started(pod) for pod in self.pods.values())

    def pod_of(self, rank: int) -> Json | None:
        """The latest pod of a rank."""
        pods = [pod for pod in self.pods.values() if rank_of(pod) == rank]
        return max(pods, key=lambda pod: str(pod["metadata"].get("creationTimestamp")), default=None)


def rank_of(pod: Json) -> int:
    return int(pod["metadata"].get("annotations", {}).get(RANK_ANNOTATION, -1))


def container(pod: Json) -> Json:
    """The status of the container that runs the rank; empty before there is one."""
    statuses: list[Json] = pod.get("status", {}).get("containerStatuses") or []
    return next((status for status in statuses if status["name"] == CONTAINER), {})


def has_started(pod: Json) -> bool:
    state = container(pod).get("state", {})
    return "running" in state or "terminated" in state


def is_over(pod: Json) -> bool:
    return pod.get("status", {}).get("phase") in ("Succeeded", "Failed")


def condition(thing: Json, kind: str) -> Json:
    """The condition ``kind`` of a Job or pod, when it is true; else empty."""
    conditions: list[Json] = thing.get("status", {}).get("conditions") or []
    return next((c for c in conditions if c["type"] == kind and c["status"] == "True"), {})


def ended(job: Json) -> bool:
    """Whether a Job is complete or has failed; its pods are gone or going."""
    return bool(condition(job, "Complete") or condition(job, "Failed"))

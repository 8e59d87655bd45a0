"""Diagnosis of a training on Kubernetes: what it waits for, how it ended, and whether a retry may help. Pure."""

from __future__ import annotations

import re
from datetime import datetime

from nightjar.protocol.errors import (
    CapacityError,
    ConfigurationError,
    DisruptionError,
    NightjarError,
    StartError,
    TrainingError,
)
from nightjar_airflow.cluster.causes import image_is_refused, refusal, start_is_refused
from nightjar_airflow.cluster.failures import failure_of_pods
from nightjar_airflow.cluster.manifests import QUEUE_LABEL
from nightjar_airflow.cluster.outcome import Outcome
from nightjar_airflow.cluster.state import (
    JobState,
    Json,
    condition,
    container,
    has_started,
    is_over,
    moment,
    rank_name,
    rank_of,
    where_is,
)

NO_IMAGE_REASONS = ("ErrImageNeverPull", "InvalidImageName", "SignatureValidationFailed")
IMAGE_REASONS = ("ImagePullBackOff", "ImageInspectError", "RegistryUnavailable")
START_REASONS = ("CreateContainerConfigError", "CreateContainerError", "RunContainerError")
GRACE_SECONDS = 30.0
"""Time for the other ranks to notice a first failed rank, report it and end by themselves."""


def verdict(state: JobState, *, world_size: int, start_timeout_seconds: float, now: datetime) -> Outcome | None:
    """Return how the Job ended, or why it cannot succeed; None while undecided."""
    if state.gone:
        return _gone()
    if state.job is None:
        return None
    if condition(state.job, "Complete"):
        return Outcome(ending="succeeded")
    if failed := condition(state.job, "Failed") or condition(state.job, "FailureTarget"):
        return _failed(state, failed, world_size)
    if state.suspended:
        return None
    if state.failing_since and (now - state.failing_since).total_seconds() > GRACE_SECONDS:
        return failure_of_pods(state, world_size)
    if error := _refused(state, world_size) or _never_starts(state, world_size):
        return Outcome.of(error)
    started = moment(state.job.get("status", {}).get("startTime"))
    waited = (now - started).total_seconds() if started else 0.0
    if state.started < world_size and waited > start_timeout_seconds:
        return Outcome.of(_not_started(state, world_size, waited))
    return None


def waiting(state: JobState, rank: int) -> str:
    """Describe what a rank waits for or does, in one phrase for the log."""
    pod = state.pod_of(rank)
    if pod is None:
        rejected = _not_made(state)
        return "has no pod yet" + (f": {rejected}" if rejected else "")
    node = pod["spec"].get("nodeName", "")
    if has_started(pod) or is_over(pod):
        return f"is {pod['status']['phase'].lower()}" + (f" on {node}" if node else "")
    if reason := _unschedulable(pod):
        return f"cannot be scheduled: {reason}"
    blocked = container(pod).get("state", {}).get("waiting") or {}
    reason = f"{blocked.get('reason', '')} {blocked.get('message', '')}".strip()
    reasons = [text for text in (reason, _last_warning(state, pod)) if text]
    return f"waits: {'; '.join(reasons)}" if reasons else "is being scheduled"


def queued(state: JobState) -> str:
    """Describe what a suspended Job waits for, and since when; empty for a Job that is not suspended."""
    if state.job is None or not state.suspended:
        return ""
    metadata = state.job["metadata"]
    queue = metadata.get("labels", {}).get(QUEUE_LABEL)
    since = condition(state.job, "Suspended").get("lastTransitionTime") or metadata.get("creationTimestamp")
    held = [event for event in state.warnings if event["involvedObject"].get("kind") == "Workload"]
    why = f": {held[-1].get('message')}" if held else ""
    place = f"in the queue {queue}" if queue else "suspended, until a person resumes it"
    return f"the Job waits {place} since {since}{why}"


def without_numbers(phrase: str) -> str:
    """Return a phrase without numbers and ids, which differ when the cluster repeats a message."""
    return re.sub(r"[0-9a-f]{8,}|\d+", "", phrase)


def _gone() -> Outcome:
    error = DisruptionError(
        "the Job was deleted while the training ran",
        where="Kubernetes",
        fix="find out who deleted it (its namespace's audit log); the retry resumes from the last checkpoint",
    )
    return Outcome.of(error, ending="gone")


def _failed(state: JobState, failed: Json, world_size: int) -> Outcome | None:
    if failed.get("reason") == "DeadlineExceeded":
        limit = state.job["spec"]["activeDeadlineSeconds"] if state.job else 0
        return Outcome.of(
            TrainingError(
                f"the training was not done within {limit / 3600:.3g} h, and was stopped",
                where="activeDeadlineSeconds of the Job",
                fix="raise max_hours of the use case's resources, or train less; clearing resumes from the checkpoint",
            )
        )
    if outcome := failure_of_pods(state, world_size):
        return outcome
    if condition(state.job or {}, "Failed"):
        message = f"{failed.get('reason')}: {failed.get('message', '')}"
        return Outcome.of(
            TrainingError(f"the Job failed ({message})", where="the Job's conditions", fix="read them, clear the task")
        )
    return None  # the Job is about to fail, and its pods have not reported why yet


def _refused(state: JobState, world_size: int) -> NightjarError | None:
    """Return the error when admission rejects the Job's pods until a person acts; temporary causes are ignored."""
    if len(state.pods) >= world_size:
        return None
    message, count = _not_made(state), world_size - len(state.pods)
    why = refusal(message)
    if why == "quota":
        return CapacityError(
            f"the namespace's quota refuses {count} of {world_size} ranks: {message}",
            where="resource quota of the namespace",
            how_many=count,
            fix="wait for other trainings, ask for less in resources, or have the quota raised",
        )
    if why == "policy":
        return ConfigurationError(
            f"the cluster refuses the pods: {message}",
            where="the Job's events",
            how_many=count,
            fix="correct the training connection, the pod template or the use case's resources",
        )
    return None


def _not_made(state: JobState) -> str:
    """Return the last message about a pod of the Job that could not be created; empty without one."""
    events = state.warnings_of(state.job) if state.job else []
    messages = [str(event.get("message")) for event in events if event.get("reason") == "FailedCreate"]
    return messages[-1].removeprefix("Error creating: ") if messages else ""


def _never_starts(state: JobState, world_size: int) -> ConfigurationError | None:
    """Return the error of a pod that waits for something that will not happen."""
    for pod in sorted(state.pods.values(), key=rank_of):
        blocked = container(pod).get("state", {}).get("waiting") or {}
        reason, image = blocked.get("reason", ""), str(container(pod).get("image"))
        if reason in (*NO_IMAGE_REASONS, *IMAGE_REASONS):
            message = _pull_message(state, pod)
            if reason in NO_IMAGE_REASONS or image_is_refused(message.replace(image, "")):
                return ConfigurationError(
                    f"the image {image} cannot be pulled for {rank_name(pod, world_size)} ({message})",
                    where=where_is(pod),
                    fix="check image and image_pull_secrets of the training connection",
                )
        message = blocked.get("message", "no message")
        if reason in START_REASONS and start_is_refused(message.replace(image, "")):
            return ConfigurationError(
                f"{rank_name(pod, world_size)} cannot start: {reason} ({message})",
                where=where_is(pod),
                fix="check the Secrets, volumes and the user of the training connection",
            )
    return None


def _pull_message(state: JobState, pod: Json) -> str:
    """Return why an image is not pulled; some kubelet versions report the cause only in an event."""
    message = str((container(pod).get("state", {}).get("waiting") or {}).get("message", "no message"))
    pulls = [str(event.get("message")) for event in state.warnings_of(pod) if event.get("reason") == "Failed"]
    causes = [pull for pull in pulls if "pull image" in pull]
    return f"{message}; {causes[-1]}" if causes else message


def _last_warning(state: JobState, pod: Json) -> str:
    """Return the last warning about a scheduled pod: a volume, the network, an image."""
    events = [event for event in state.warnings_of(pod) if event.get("reason") != "FailedScheduling"]
    return f"{events[-1].get('reason')}: {events[-1].get('message')}" if events else ""


def _unschedulable(pod: Json) -> str:
    conditions = pod.get("status", {}).get("conditions") or []
    unmet = [c for c in conditions if c["type"] == "PodScheduled" and c["status"] == "False"]
    return str(unmet[0].get("message", "")) if unmet else ""


def _not_started(state: JobState, world_size: int, waited: float) -> NightjarError:
    late = [rank for rank in range(world_size) if (pod := state.pod_of(rank)) is None or not has_started(pod)]
    named = ", ".join(map(str, late))
    why = waiting(state, late[0])
    where, fix = f"rank {named}", "fix what it waits for; raise start_timeout_seconds when images or volumes are slow"
    what = f"rank {named} of {world_size} did not start within {waited:.0f} s: it {why}"
    if "cannot be scheduled" in why:
        fix = "free or add nodes, or ask for less in resources; gpu_type must fit the nodes"
        return CapacityError(what, where=where, how_many=len(late), fix=fix)
    return StartError(what, where=where, how_many=len(late), fix=fix)

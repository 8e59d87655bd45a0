"""What went wrong with a training on Kubernetes, in one sentence, and whether another try may help. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime

from nightjar.contracts.errors import (
    CapacityError,
    ConfigurationError,
    DisruptionError,
    NightjarError,
    TrainingError,
)
from nightjar_airflow.cluster.manifests import CONTAINER
from nightjar_airflow.cluster.outcome import Outcome
from nightjar_airflow.cluster.state import (
    JobState,
    Json,
    condition,
    container,
    has_failed,
    has_started,
    is_over,
    rank_of,
)

IMAGE_REASONS = ("ImagePullBackOff", "ErrImageNeverPull", "InvalidImageName", "ImageInspectError")
START_REASONS = ("CreateContainerConfigError", "CreateContainerError", "RunContainerError")
NODE_LOST = ("DeletionByTaintManager", "DeletionByPodGC", "NodeLost", "NodeShutdown", "Shutdown")
KILLED = 137
"""Exit code of a container that got SIGKILL."""
GRACE_SECONDS = 30.0
"""After a first rank failed, how long the others have to notice, to report and to leave by themselves."""
CANNOT_START = (126, 127, 128)
"""Exit codes of a container whose command could not be run."""


def verdict(state: JobState, *, world_size: int, start_timeout_seconds: float, now: datetime) -> Outcome | None:
    """How the Job ended, or why it never will well; None while there is nothing to say."""
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
        return _of_pods(state, world_size)
    if error := _refused(state, world_size) or _never_starts(state, world_size):
        return Outcome.of(error)
    waited = _seconds_since(state.job.get("status", {}).get("startTime"), now)
    if state.started < world_size and waited > start_timeout_seconds:
        return Outcome.of(_not_started(state, world_size, waited))
    return None


def waiting(state: JobState, rank: int) -> str:
    """What a rank waits for or does, for the log: one phrase."""
    pod = state.pod_of(rank)
    if pod is None:
        return "has no pod yet"
    node = pod["spec"].get("nodeName", "")
    if has_started(pod) or is_over(pod):
        return f"is {pod['status']['phase'].lower()}" + (f" on {node}" if node else "")
    if reason := _unschedulable(pod):
        return f"cannot be scheduled: {reason}"
    blocked = container(pod).get("state", {}).get("waiting", {})
    if blocked:
        return f"waits: {blocked.get('reason', '')} {blocked.get('message', '')}".rstrip()
    return "is being scheduled"


def root_cause(state: JobState) -> Json | None:
    """The failed pod with which it began: one that the cluster took, then one that was killed, then the earliest."""
    known = {**state.vanished, **state.pods}.values()
    return min((pod for pod in known if has_failed(pod)), key=_precedence, default=None)


def _gone() -> Outcome:
    error = DisruptionError(
        "the Job was deleted while the training ran",
        where="Kubernetes",
        fix="find out who deleted it (its namespace's audit log); the next try resumes from the last checkpoint",
    )
    return Outcome.of(error, ending="gone")


def _failed(state: JobState, failed: Json, world_size: int) -> Outcome | None:
    if failed.get("reason") == "DeadlineExceeded":
        limit = state.job["spec"]["activeDeadlineSeconds"] if state.job else 0
        return Outcome.of(
            TrainingError(
                f"the training was not done within {limit / 3600:.3g} h, and was ended",
                where="activeDeadlineSeconds of the Job",
                fix="raise max_hours of the use case's resources, or train less; clearing resumes from the checkpoint",
            )
        )
    if outcome := _of_pods(state, world_size):
        return outcome
    if condition(state.job or {}, "Failed"):
        message = f"{failed.get('reason')}: {failed.get('message', '')}"
        return Outcome.of(
            TrainingError(f"the Job failed ({message})", where="the Job's conditions", fix="read them, clear the task")
        )
    return None  # the Job is about to fail, and its pods have not said why yet


def _of_pods(state: JobState, world_size: int) -> Outcome | None:
    """What the pods say of a failure."""
    pod = root_cause(state)
    if pod is not None and (disrupted := _disrupted(pod, world_size)):
        return Outcome.of(disrupted)
    if state.removed:
        return Outcome.of(_removed(min(state.removed.values(), key=rank_of), world_size))
    if pod is None:
        return None
    error = _killed(pod, world_size) or _cannot_run(pod, world_size)
    return Outcome.of(error) if error else Outcome.of(_program(pod, world_size), program=True)


def _precedence(pod: Json) -> tuple[int, str, int]:
    end = _terminated(pod)
    if _disrupted(pod, 0):
        kind = 0
    elif end.get("reason") == "OOMKilled" or end.get("exitCode", 0) == KILLED:
        kind = 1
    else:
        kind = 2
    # the cluster notes whole seconds; within one, rank 0 is the last to be blamed: it ends because another has, and
    # would have said so of itself
    return kind, str(end.get("finishedAt", "")), -rank_of(pod)


def _terminated(pod: Json) -> Json:
    found: Json = container(pod).get("state", {}).get("terminated") or {}
    return found


def _of(pod: Json, world_size: int) -> str:
    return f"rank {rank_of(pod)} of {world_size}"


def _where(pod: Json) -> str:
    node = pod["spec"].get("nodeName")
    return f"pod {pod['metadata']['name']}" + (f" on node {node}" if node else "")


def _disrupted(pod: Json, world_size: int) -> DisruptionError | None:
    target = condition(pod, "DisruptionTarget")
    reason = target.get("reason") or pod.get("status", {}).get("reason") or ""
    said = target.get("message") or pod.get("status", {}).get("message") or "no reason given"
    who, node = _of(pod, world_size), pod["spec"].get("nodeName", "its node")
    if reason in NODE_LOST:
        what = f"{who} was lost with node {node} ({said})"
    elif reason == "PreemptionByScheduler":
        what = f"{who} was preempted by a pod of higher priority ({said})"
    elif target or reason == "Evicted":
        what = f"{who} was evicted from node {node} ({said})"
    else:
        return None
    return DisruptionError(what, where=_where(pod), fix="nothing; the next try resumes from the last checkpoint")


def _killed(pod: Json, world_size: int) -> TrainingError | None:
    end = _terminated(pod)
    if end.get("reason") != "OOMKilled" and end.get("exitCode") != KILLED:
        return None
    rank: Json = next((c for c in pod["spec"]["containers"] if c["name"] == CONTAINER), {})
    limit = rank.get("resources", {}).get("limits", {}).get("memory", "none")
    if end.get("reason") == "OOMKilled":
        what = f"{_of(pod, world_size)} ran out of memory (its limit is {limit})"
    else:
        what = f"{_of(pod, world_size)} was killed by SIGKILL (memory limit {limit})"
    return TrainingError(
        what, where=_where(pod), fix="raise memory_gib of the use case's resources, or world_size: shards get smaller"
    )


def _cannot_run(pod: Json, world_size: int) -> ConfigurationError | None:
    end = _terminated(pod)
    if end.get("exitCode") not in CANNOT_START:
        return None
    return ConfigurationError(
        f"{_of(pod, world_size)} could not run its command ({end.get('message') or end.get('reason')})",
        where=_where(pod),
        fix="check that the image is the training image (jobs/Dockerfile) of this version",
    )


def _program(pod: Json, world_size: int) -> TrainingError:
    code = _terminated(pod).get("exitCode", "unknown")
    return TrainingError(
        f"{_of(pod, world_size)} failed with exit code {code}",
        where=_where(pod),
        fix="read the lines of that rank above, mend the cause, then clear the task",
    )


def _removed(pod: Json, world_size: int) -> DisruptionError:
    return DisruptionError(
        f"the pod of {_of(pod, world_size)} was removed before it had ended",
        where=_where(pod),
        fix="see whether its node or a person removed it; the next try resumes from the last checkpoint",
    )


def _refused(state: JobState, world_size: int) -> NightjarError | None:
    """The Job's pods that the API server does not let be made, as the Job's events tell."""
    if len(state.pods) >= world_size:
        return None
    said = [str(event.get("message")) for event in state.events if event.get("reason") == "FailedCreate"]
    if not said:
        return None
    message = said[-1].removeprefix("Error creating: ")
    count = world_size - len(state.pods)
    if "exceeded quota" in message:
        return CapacityError(
            f"the namespace's quota refuses {count} of {world_size} ranks: {message}",
            where="resource quota of the namespace",
            how_many=count,
            fix="wait for other trainings, ask for less in resources, or have the quota raised",
        )
    return ConfigurationError(
        f"the cluster refuses the pods: {message}",
        where="the Job's events",
        how_many=count,
        fix="correct the training connection, the pod template or the use case's resources",
    )


def _never_starts(state: JobState, world_size: int) -> ConfigurationError | None:
    """A pod that waits for what will not come."""
    for pod in sorted(state.pods.values(), key=rank_of):
        blocked: Mapping[str, str] = container(pod).get("state", {}).get("waiting") or {}
        reason, said = blocked.get("reason", ""), blocked.get("message", "no message")
        if reason in IMAGE_REASONS:
            return ConfigurationError(
                f"the image {container(pod).get('image')} cannot be pulled for {_of(pod, world_size)} ({said})",
                where=_where(pod),
                fix="check image and image_pull_secrets of the training connection",
            )
        if reason in START_REASONS:
            return ConfigurationError(
                f"{_of(pod, world_size)} cannot start: {reason} ({said})",
                where=_where(pod),
                fix="check the Secrets, volumes and the user of the training connection",
            )
    return None


def _unschedulable(pod: Json) -> str:
    conditions = pod.get("status", {}).get("conditions") or []
    found = [c for c in conditions if c["type"] == "PodScheduled" and c["status"] == "False"]
    return str(found[0].get("message", "")) if found else ""


def _not_started(state: JobState, world_size: int, waited: float) -> NightjarError:
    late = [rank for rank in range(world_size) if (pod := state.pod_of(rank)) is None or not has_started(pod)]
    named = ", ".join(map(str, late))
    told = waiting(state, late[0])
    where, fix = f"rank {named}", "see the pods' events; raise start_timeout_seconds when images or volumes are slow"
    what = f"rank {named} of {world_size} did not start within {waited:.0f} s: it {told}"
    if "cannot be scheduled" in told:
        fix = "free or add nodes, or ask for less in resources; gpu_type must fit the nodes"
        return CapacityError(what, where=where, how_many=len(late), fix=fix)
    return TrainingError(what, where=where, how_many=len(late), fix=fix)


def _seconds_since(moment: str | None, now: datetime) -> float:
    if not moment:
        return 0.0
    return (now - datetime.fromisoformat(moment.replace("Z", "+00:00")).astimezone(UTC)).total_seconds()

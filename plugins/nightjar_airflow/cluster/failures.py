"""Cause of a failed Job from its pods: which one failed first, and why. Pure."""

from __future__ import annotations

from datetime import datetime, timedelta

from nightjar.protocol.errors import ConfigurationError, DisruptionError, TrainingError
from nightjar.training.distributed.launch import EXIT_TERMINATED
from nightjar_airflow.cluster.manifests import CONTAINER
from nightjar_airflow.cluster.outcome import Outcome
from nightjar_airflow.cluster.state import (
    JobState,
    Json,
    condition,
    has_failed,
    moment,
    rank_name,
    rank_of,
    removed_at,
    terminated,
    where_is,
)

NODE_LOST = ("DeletionByTaintManager", "DeletionByPodGC", "NodeLost", "NodeShutdown", "Shutdown")
KILLED = 137
"""Exit code of a container killed by SIGKILL."""
CANNOT_START = (126, 127, 128)
"""Exit codes of a container whose command could not be run."""
CLOCK_SECONDS = 3.0
"""Maximum clock difference between nodes, which record when a container ended."""


def failure_of_pods(state: JobState, world_size: int) -> Outcome | None:
    """Return the failure according to the pods; None when they show none."""
    pod = root_cause(state)
    if pod is not None and (disrupted := _disrupted(pod, world_size)):
        return Outcome.of(disrupted, outranks_result=True)
    removed = min(state.removed.values(), key=rank_of, default=None)
    if removed is None and pod is not None and _was_removed(pod):
        removed = pod
    if removed is not None:
        return Outcome.of(_removed(removed, world_size), outranks_result=True)
    if pod is None:
        return None
    error = _killed(pod, world_size) or _terminated(pod, world_size) or _cannot_run(pod, world_size)
    return Outcome.of(error, outranks_result=True) if error else Outcome.of(_program(pod, world_size), program=True)


def root_cause(state: JobState) -> Json | None:
    """Return the failed pod that is the cause: one removed by the cluster, then one that was killed, then the earliest.

    A pod that was stopped because a program had failed does not count.
    """
    known = {**state.vanished, **state.pods}.values()
    failed = [pod for pod in known if has_failed(pod)]
    own = [end for pod in failed if _failed_by_itself(pod) and (end := moment(terminated(pod).get("finishedAt")))]
    causes = [pod for pod in failed if not _swept(pod, min(own, default=None))]
    return min(causes or failed, key=_precedence, default=None)


def _precedence(pod: Json) -> tuple[int, str, int]:
    if _disrupted(pod, 0):
        kind = 0
    elif not _failed_by_itself(pod):
        kind = 1
    else:
        kind = 2
    # Times are whole seconds; within one second rank 0 is blamed last, as it usually ends because another rank has, and
    # would have reported its own failure
    return kind, str(terminated(pod).get("finishedAt", "")), -rank_of(pod)


def _failed_by_itself(pod: Json) -> bool:
    """Return whether the program ended with its own exit code, not by a signal or by the cluster."""
    end = terminated(pod)
    by_signal = end.get("reason") == "OOMKilled" or end.get("exitCode") in (KILLED, EXIT_TERMINATED)
    return bool(end) and not by_signal and not _disrupted(pod, 0)


def _swept(pod: Json, first: datetime | None) -> bool:
    """Return whether the Job removed the pod because a program had failed by itself at ``first``."""
    if first is None or _failed_by_itself(pod):
        return False
    if _was_removed(pod):
        removal = removed_at(pod)
        return removal is not None and removal >= first
    target = condition(pod, "DisruptionTarget")
    when = moment(target.get("lastTransitionTime") or terminated(pod).get("finishedAt"))
    return when is not None and when > first + timedelta(seconds=CLOCK_SECONDS)


def _was_removed(pod: Json) -> bool:
    """Return whether a pod ended because it was deleted, not because of its node or its memory."""
    by_node = condition(pod, "DisruptionTarget") or terminated(pod).get("reason") == "OOMKilled"
    return "deletionTimestamp" in pod["metadata"] and not by_node and not _failed_by_itself(pod)


def _disrupted(pod: Json, world_size: int) -> DisruptionError | None:
    target = condition(pod, "DisruptionTarget")
    reason = target.get("reason") or pod.get("status", {}).get("reason") or ""
    message = target.get("message") or pod.get("status", {}).get("message") or "no reason given"
    who, node = rank_name(pod, world_size), pod["spec"].get("nodeName", "its node")
    if reason in NODE_LOST:
        what = f"{who} was lost with node {node} ({message})"
    elif reason == "PreemptionByScheduler":
        what = f"{who} was preempted by a pod of higher priority ({message})"
    elif target or reason == "Evicted":
        what = f"{who} was evicted from node {node} ({message})"
    elif reason and not terminated(pod):
        what = f"{who} was refused by node {node} ({reason}: {message})"
    else:
        return None
    return DisruptionError(what, where=where_is(pod), fix="nothing; the retry resumes from the last checkpoint")


def _killed(pod: Json, world_size: int) -> TrainingError | None:
    end = terminated(pod)
    if end.get("reason") != "OOMKilled" and end.get("exitCode") != KILLED:
        return None
    rank: Json = next((c for c in pod["spec"]["containers"] if c["name"] == CONTAINER), {})
    limit = rank.get("resources", {}).get("limits", {}).get("memory", "none")
    if end.get("reason") == "OOMKilled":
        what = f"{rank_name(pod, world_size)} ran out of memory (its limit is {limit})"
    else:
        what = f"{rank_name(pod, world_size)} was killed by SIGKILL (memory limit {limit})"
    return TrainingError(
        what, where=where_is(pod), fix="raise memory_gib of the use case's resources, or world_size: shards get smaller"
    )


def _terminated(pod: Json, world_size: int) -> DisruptionError | None:
    if terminated(pod).get("exitCode") != EXIT_TERMINATED:
        return None
    return DisruptionError(
        f"{rank_name(pod, world_size)} was stopped by SIGTERM before it was done",
        where=where_is(pod),
        fix="check whether its node was shut down; the retry resumes from the last checkpoint",
    )


def _cannot_run(pod: Json, world_size: int) -> ConfigurationError | None:
    end = terminated(pod)
    if end.get("exitCode") not in CANNOT_START:
        return None
    return ConfigurationError(
        f"{rank_name(pod, world_size)} could not run its command ({end.get('message') or end.get('reason')})",
        where=where_is(pod),
        fix="check that the image is the training image (jobs/Dockerfile) of this version",
    )


def _program(pod: Json, world_size: int) -> TrainingError:
    code = terminated(pod).get("exitCode", "unknown")
    return TrainingError(
        f"{rank_name(pod, world_size)} failed with exit code {code}",
        where=where_is(pod),
        fix="read the lines of that rank above, fix the cause, then clear the task",
    )


def _removed(pod: Json, world_size: int) -> DisruptionError:
    return DisruptionError(
        f"the pod of {rank_name(pod, world_size)} was deleted before it had ended",
        where=where_is(pod),
        fix="check whether its node or a person deleted it; the retry resumes from the last checkpoint",
    )

"""Verdicts on cluster states that are hard to reproduce."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from nightjar.protocol.documents import dump_values, load_values
from nightjar_airflow.cluster.diagnosis import verdict, waiting
from nightjar_airflow.cluster.outcome import Outcome
from nightjar_airflow.cluster.state import JobState

NOW = datetime(2026, 4, 1, 12, 0, tzinfo=UTC)


def job(*conditions: dict[str, str], **spec: Any) -> dict[str, Any]:
    status = {"startTime": "2026-04-01T11:00:00Z", "conditions": [{"status": "True", **c} for c in conditions]}
    return {"metadata": {"name": "j"}, "spec": spec, "status": status}


def pod(rank: int, phase: str = "Running", end: dict[str, Any] | None = None, **status: Any) -> dict[str, Any]:
    state = {"terminated": end} if end else {"running": {}}
    return {
        "metadata": {"name": f"j-{rank}", "annotations": {"batch.kubernetes.io/job-completion-index": str(rank)}},
        "spec": {"nodeName": "n1", "containers": [{"name": "rank", "resources": {"limits": {"memory": "8Gi"}}}]},
        "status": {"phase": phase, "containerStatuses": [{"name": "rank", "image": "i", "state": state}], **status},
    }


def judged(state: JobState, *, world_size: int = 2) -> Outcome | None:
    return verdict(state, world_size=world_size, start_timeout_seconds=600, now=NOW)


def state_of(the_job: dict[str, Any], *pods: dict[str, Any]) -> JobState:
    state = JobState()
    state.take_job(the_job)
    state.take_pods({p["metadata"]["name"]: p for p in pods}, {}, NOW)
    return state


FAILED = {"type": "Failed", "reason": "FailedIndexes", "message": "Job has failed indexes"}


@pytest.mark.parametrize(
    ("failed", "what", "kind"),
    [
        (pod(1, "Failed", {"exitCode": 137}), "rank 1 of 2 was killed by SIGKILL (memory limit 8Gi)", "training"),
        (pod(1, "Failed", {"exitCode": 139}), "rank 1 of 2 failed with exit code 139", "training"),
        (
            pod(1, "Failed", {"exitCode": 128, "message": "no such file"}),
            "rank 1 of 2 could not run its command (no such file)",
            "configuration",
        ),
        (
            pod(1, "Failed", None, reason="NodeLost", message="Node n1 is gone"),
            "rank 1 of 2 was lost with node n1 (Node n1 is gone)",
            "disruption",
        ),
        (
            pod(1, "Failed", None, reason="Evicted", message="ephemeral storage"),
            "rank 1 of 2 was evicted from node n1 (ephemeral storage)",
            "disruption",
        ),
    ],
)
def test_a_failed_pod(failed: dict[str, Any], what: str, kind: str) -> None:
    outcome = judged(state_of(job(FAILED), pod(0, "Succeeded", {"exitCode": 0}), failed))
    assert outcome is not None
    assert (outcome.what, outcome.kind) == (what, kind)


def test_what_the_cluster_did_comes_before_what_the_first_rank_noticed() -> None:
    first = pod(0, "Failed", {"exitCode": 3, "finishedAt": "2026-04-01T11:30:01Z"})
    killed = pod(1, "Failed", {"exitCode": 137, "reason": "OOMKilled", "finishedAt": "2026-04-01T11:30:02Z"})
    outcome = judged(state_of(job(FAILED), first, killed))
    assert outcome is not None
    assert outcome.what == "rank 1 of 2 ran out of memory (its limit is 8Gi)"


def test_the_earliest_end_is_the_cause() -> None:
    late = pod(0, "Failed", {"exitCode": 3, "finishedAt": "2026-04-01T11:30:05Z"})
    early = pod(1, "Failed", {"exitCode": 1, "finishedAt": "2026-04-01T11:30:01Z"})
    outcome = judged(state_of(job(FAILED), late, early))
    assert outcome is not None
    assert outcome.what == "rank 1 of 2 failed with exit code 1"
    assert outcome.program


def test_a_job_that_waits_in_a_queue_has_no_time_limit_and_loses_no_rank() -> None:
    state = state_of(job(suspend=True))
    state.take_pods({}, {"j-0": pod(0)}, NOW)
    assert judged(state) is None
    assert state.removed == {}


def test_ranks_that_have_not_started_in_time_are_named() -> None:
    outcome = judged(state_of(job(), pod(0)))
    assert outcome is not None
    assert outcome.what == "rank 1 of 2 did not start within 3600 s: it has no pod yet"


def test_a_failed_rank_whose_peers_hang_ends_the_job_after_the_grace() -> None:
    state = state_of(job(), pod(0), pod(1, "Failed", {"exitCode": 1}))
    assert judged(state) is None
    state.failing_since = NOW - timedelta(seconds=31)
    outcome = judged(state)
    assert outcome is not None
    assert outcome.what == "rank 1 of 2 failed with exit code 1"


def test_a_failure_without_pods_quotes_the_job() -> None:
    outcome = judged(state_of(job(FAILED)))
    assert outcome is not None
    assert "FailedIndexes: Job has failed indexes" in outcome.what
    assert judged(state_of(job({**FAILED, "type": "FailureTarget"}))) is None, "its pods will say why"


def test_an_outcome_survives_the_event() -> None:
    outcome = judged(state_of(job(FAILED), pod(1, "Failed", None, reason="Evicted")))
    assert outcome is not None
    assert load_values(Outcome, dump_values(outcome)) == outcome
    assert outcome.error.retryable


def test_a_rank_says_what_it_waits_for() -> None:
    pending = pod(0, "Pending")
    pending["status"]["containerStatuses"][0]["state"] = {"waiting": {"reason": "ContainerCreating"}}
    assert waiting(state_of(job(), pending), 0) == "waits: ContainerCreating"
    assert waiting(state_of(job(), pod(0)), 0) == "is running on n1"


SWEPT = {"deletionTimestamp": "2026-04-01T11:30:31Z", "deletionGracePeriodSeconds": 30}


def swept(rank: int, end: dict[str, Any] | None, **metadata: Any) -> dict[str, Any]:
    """Return a deleted pod, as the Job deletes all others after a failure."""
    removed = pod(rank, "Failed" if end else "Running", end)
    removed["metadata"].update({**SWEPT, **metadata})
    return removed


@pytest.mark.parametrize(
    ("own", "other"),
    [
        # both learned of together, as after a break: the program ended at 11:30:01, and the Job removed the other then
        ({"exitCode": 3, "finishedAt": "2026-04-01T11:30:01Z"}, swept(1, None)),
        ({"exitCode": 3, "finishedAt": "2026-04-01T11:30:01Z"}, swept(1, {"exitCode": 137})),
        ({"exitCode": 3, "finishedAt": "2026-04-01T11:30:01Z"}, swept(1, {"exitCode": 143})),
        ({"exitCode": 1, "finishedAt": "2026-04-01T11:30:01Z"}, swept(1, {"exitCode": 137})),
        # killed long after, whatever for
        (
            {"exitCode": 3, "finishedAt": "2026-04-01T11:30:01Z"},
            pod(1, "Failed", {"exitCode": 137, "finishedAt": "2026-04-01T11:30:31Z"}),
        ),
        # the node of the other was drained after the failure
        (
            {"exitCode": 3, "finishedAt": "2026-04-01T11:30:01Z"},
            pod(
                1,
                "Failed",
                {"exitCode": 137, "finishedAt": "2026-04-01T11:30:40Z"},
                conditions=[
                    {
                        "type": "DisruptionTarget", "status": "True", "reason": "EvictionByEvictionAPI",
                        "lastTransitionTime": "2026-04-01T11:30:10Z",
                    }
                ],
            ),
        ),
    ],
)  # fmt: skip
def test_a_programs_own_failure_comes_before_pods_that_were_swept_away(
    own: dict[str, Any], other: dict[str, Any]
) -> None:
    outcome = judged(state_of(job(FAILED), pod(0, "Failed", own), other))
    assert outcome is not None
    assert outcome.what == f"rank 0 of 2 failed with exit code {own['exitCode']}"
    assert outcome.program
    assert not outcome.outranks_result


def test_a_pod_that_was_gone_from_the_list_after_a_failure_was_swept_away() -> None:
    state = state_of(job(), pod(0), pod(1))
    failed = pod(0, "Failed", {"exitCode": 3, "finishedAt": "2026-04-01T11:30:01Z"})
    state.take_pods({"j-0": failed}, {"j-1": pod(1)}, NOW)
    state.take_job(job(FAILED))
    outcome = judged(state)
    assert outcome is not None
    assert outcome.what == "rank 0 of 2 failed with exit code 3"


@pytest.mark.parametrize("end", [None, {"exitCode": 137}, {"exitCode": 143}])
def test_a_pod_that_was_removed_first_is_the_cause_of_what_the_others_say(end: dict[str, Any] | None) -> None:
    failed = pod(0, "Failed", {"exitCode": 3, "finishedAt": "2026-04-01T11:30:05Z"})
    outcome = judged(state_of(job(FAILED), failed, swept(1, end)))
    assert outcome is not None
    assert outcome.what == "the pod of rank 1 of 2 was deleted before it had ended"
    assert outcome.outranks_result


def test_a_rank_that_sigterm_ended_is_worth_a_retry() -> None:
    outcome = judged(state_of(job(FAILED), pod(0), pod(1, "Failed", {"exitCode": 143})))
    assert outcome is not None
    assert outcome.what == "rank 1 of 2 was stopped by SIGTERM before it was done"
    assert outcome.error.retryable


def test_a_pod_that_its_node_refused_is_worth_a_retry() -> None:
    refused = pod(1, "Failed", None, reason="OutOfcpu", message="Node didn't have enough resource: cpu")
    refused["status"]["containerStatuses"] = []
    outcome = judged(state_of(job(FAILED), pod(0), refused))
    assert outcome is not None
    assert outcome.what.startswith("rank 1 of 2 was refused by node n1 (OutOfcpu: Node didn't")
    assert outcome.error.retryable


def test_events_of_an_earlier_job_of_that_name_say_nothing_of_this_one() -> None:
    state = state_of({**job(), "metadata": {"name": "j", "uid": "2"}})
    refused = {"reason": "FailedCreate", "message": 'Error creating: pods "x" is forbidden: exceeded quota: q'}
    state.warnings = [{**refused, "involvedObject": {"kind": "Job", "name": "j", "uid": "1"}}]
    assert waiting(state, 0) == "has no pod yet"
    state.warnings = [{**refused, "involvedObject": {"kind": "Job", "name": "j", "uid": "2"}}]
    outcome = verdict(state, world_size=2, start_timeout_seconds=9999, now=NOW)
    assert outcome is not None
    assert outcome.kind == "capacity"

"""The training program itself, two ranks of it, through the Kubernetes path."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from airflow.sdk.exceptions import AirflowException, AirflowFailException
from kubernetes_double import eventually
from tests.nightjar_jobs import conftest as small_lake
from tests.program_results import own_fields

from nightjar.protocol.documents import load_json
from nightjar.protocol.job import JobSpec
from nightjar.training.model import TabularModel

pytestmark = pytest.mark.e2e


@pytest.fixture
def frozen(deployment: Any) -> ModuleType:
    """A lake whose run ``r 1`` has frozen its training set."""
    for i in range(small_lake.DAYS):
        small_lake.write_day(deployment.lake, small_lake.USE_CASE, small_lake.FIRST_DAY + small_lake.timedelta(days=i))
    run = small_lake.Run(Path(deployment.lake), "r-1")
    small_lake.freeze(run.spec("freeze_training_set"), small_lake.USE_CASE)
    return small_lake


def test_two_ranks_train_as_pods_the_very_model_that_they_train_as_processes(
    deployment: Any, frozen: ModuleType, capsys: pytest.CaptureFixture[str]
) -> None:
    task = deployment.task()
    summary = task.run()
    assert summary["rows_in"] == summary["rows_out"] == 1885 + 1015
    result = deployment.result()
    assert result.status == "succeeded"
    model = TabularModel.load(result.model, sha256=result.model_sha256)
    assert model.card.world_size == 2
    said = capsys.readouterr().out
    assert "2 ranks, 1885 training rows" in said
    assert said.count(f"validation {model.card.validation_metric} {model.card.validation_score:.4f} at round") == 1

    other = frozen.Run(Path(deployment.lake), "as-processes")
    other.freeze()
    assert other("train").model_sha256 == result.model_sha256

    retry = deployment.task(try_number=2)
    retry.run()
    assert "this run has trained already" in capsys.readouterr().out, "nothing is trained twice"
    assert own_fields(deployment.result()) == own_fields(result)


def test_an_evicted_training_is_retried_and_resumes_to_the_same_bytes(
    deployment: Any, frozen: ModuleType, capsys: pytest.CaptureFixture[str]
) -> None:
    checkpoint = Path(deployment.lake, "_runs/flight_delay_training/r-1/train/checkpoint/boosting/checkpoint.json")
    first = deployment.task()
    first.defer()

    async def evicted() -> dict[str, Any]:
        watching = asyncio.create_task(asyncio.to_thread(first.wait))
        await asyncio.to_thread(eventually, checkpoint.exists, 60)
        deployment.cluster.evict(1)
        return await watching

    event = asyncio.run(evicted())
    with pytest.raises(AirflowException, match=r"rank 1 of 2 was evicted from node node-1 .The node was low") as raised:
        first.resume(event)
    assert type(raised.value) is AirflowException, "worth a retry"
    assert "resumes from the last checkpoint" in str(raised.value)
    assert checkpoint.exists()
    said = capsys.readouterr().out
    assert "checkpoint after round 25" in said
    assert "succeeded: rows" not in said, "it was cut short"

    second = deployment.task(try_number=2)
    second.run()
    said = capsys.readouterr().out
    assert re.search(r"resuming after round \d+ of at most 160, from a checkpoint", said)
    assert "round 1 of" not in said
    names = sorted(job["metadata"]["name"] for job in deployment.cluster.jobs())
    assert [name.rsplit("-", 1)[1] for name in names] == ["1", "2"], "a Job for each try"
    assert deployment.cluster.running_processes() == 0
    assert str(raised.value) in deployment.failures()

    undisturbed = frozen.Run(Path(deployment.lake), "undisturbed")
    undisturbed.freeze()
    ours, theirs = (Path(r.model) for r in (deployment.result(), undisturbed("train")))
    assert {f.name: f.read_bytes() for f in ours.iterdir()} == {f.name: f.read_bytes() for f in theirs.iterdir()}


def test_a_rank_that_never_joins_is_named_by_the_first(deployment: Any, frozen: ModuleType) -> None:
    deployment.cluster.cut_off = {1}
    deployment.connect(env={**deployment.settings["env"], "NIGHTJAR_RENDEZVOUS_SECONDS": "5"})
    with pytest.raises(AirflowFailException, match=r"rank 1 of 2 did not connect within 5 s"):
        deployment.task().run()
    spec = load_json(JobSpec, Path(deployment.lake, "_runs/flight_delay_training/r-1/train/spec.json").read_text())
    assert deployment.result().spec_fingerprint == spec.fingerprint
    assert deployment.cluster.running_processes() == 0

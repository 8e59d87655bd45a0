"""Training by real processes: two ranks, one model."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.dataset as ds
import pytest
from deltalake import write_deltalake
from tests.training_sets import count_labels

from nightjar.lake import files
from nightjar.lake.lake import Lake
from nightjar.monitoring.profiles.profile import Profile
from nightjar.protocol.documents import dump_json
from nightjar.protocol.errors import RowCountError, TrainingError
from nightjar.training.data.shards import Shard, read_shard
from nightjar.training.data.training_set import TrainingSet, training_set_uri
from nightjar.training.distributed.agreement import check_same_data, check_shards
from nightjar.training.distributed.launch import free_port
from nightjar.training.distributed.memory import out_of_memory
from nightjar.training.distributed.rendezvous import SECRET, Group, LaunchContract
from nightjar.training.model import TabularModel

pytestmark = pytest.mark.e2e
MakeRun = Callable[..., Any]


def _model_bytes(run: Any) -> bytes:
    return Path(f"{run.spec('train').output}/model/boosting.ubj").read_bytes()


def test_two_ranks_train_a_model_that_predicts(trained: Any) -> None:
    result = trained.result("train")
    assert result.rows_in == result.rows_out == 1885 + 1015
    assert result.metrics["validation_log_loss"] < result.metrics["baseline_validation_log_loss"] - 0.05
    assert result.inputs == {"features/flight_delay": 33, "labels/flight_delay": 33}
    model = TabularModel.load(result.model, sha256=result.model_sha256)
    assert model.card.world_size == 2
    assert model.card.members[0].rounds == result.metrics["boosting_rounds"]
    assert (model.card.validation_metric, model.card.validation_score) == (
        "log_loss",
        result.metrics["validation_log_loss"],
    )
    features = Lake(trained.lake).open_table("features/flight_delay").to_pyarrow_dataset()
    predictions = model.predict(features.to_table(filter=ds.field("ds") == trained.spec("train").first_night))
    assert 0 < predictions.min() < predictions.max() < 1


def test_the_exact_validation_loss_is_the_one_reported(trained: Any) -> None:
    from sklearn.metrics import log_loss

    result = trained.result("train")
    training_set = TrainingSet.of_run(trained.spec("train"))
    shard = read_shard(Lake(trained.lake), training_set, training_set.validation)
    model = TabularModel.load(result.model)
    predicted = [(labels, model.members[0].predict(matrix, threads=1)) for matrix, labels in shard.batches()]
    exact = log_loss(*map(np.concatenate, zip(*predicted, strict=True)))
    assert result.metrics["validation_log_loss"] == pytest.approx(exact, abs=1e-6)


def test_the_profile_holds_features_and_predictions_of_all_ranks(trained: Any) -> None:
    model = TabularModel.load(trained.result("train").model)
    profile = Profile.from_json(model.profile)
    assert set(profile.columns) == {*(feature.name for feature in model.card.features), "prediction"}
    assert profile.columns["prediction"].rows == 1015


def test_a_training_is_in_the_ledger_with_its_versions(trained: Any) -> None:
    (event,) = trained.events("training")
    assert event["table_versions"] == '{"features/flight_delay": 33, "labels/flight_delay": 33}'
    assert event["details"]["model_sha256"] == trained.result("train").model_sha256


@pytest.mark.parametrize("threads", [1, 2])
def test_the_same_inputs_give_the_same_bytes(
    trained: Any, new_run: MakeRun, threads: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OMP_WAIT_POLICY", "passive")  # four threads that spin on two cores take minutes
    again = new_run(f"again-{threads}", threads=threads)
    again.freeze()
    result = again("train")
    assert result.status == "succeeded"
    assert _model_bytes(again) == _model_bytes(trained)
    assert result.model_sha256 == trained.result("train").model_sha256


def test_a_finished_training_is_not_done_again_unless_forced(new_run: MakeRun) -> None:
    run = new_run("twice")
    run.freeze()
    assert run("train").status == "succeeded"
    written = os.stat(f"{run.spec('train').output}/model/boosting.ubj").st_mtime_ns
    launched = run.launch("train")
    launched.ranks.wait()
    assert any("this run has trained already" in line for line in launched.lines)
    assert run.result("train").status == "succeeded"
    assert os.stat(f"{run.spec('train').output}/model/boosting.ubj").st_mtime_ns == written
    assert len(run.events("training")) == 1
    forced = new_run("twice", force=True)
    assert forced("train").status == "succeeded"
    assert os.stat(f"{run.spec('train').output}/model/boosting.ubj").st_mtime_ns > written


@pytest.mark.parametrize("victim", [0, 1])
def test_a_rank_killed_while_boosting_ends_all_with_a_clear_error(new_run: MakeRun, victim: int) -> None:
    run = new_run(f"killed-{victim}")
    training_set = run.freeze()
    (engine,) = training_set.recipe.engines
    endless = replace(training_set.recipe, engines=(replace(engine, num_rounds=100_000, early_stopping_rounds=None),))
    files.write_text(training_set_uri(run.spec("train")), dump_json(replace(training_set, recipe=endless)))
    launched = run.launch("train")
    ranks = launched.ranks
    pids = [rank.process.pid for rank in ranks._ranks]
    tell = ranks.on_line

    def kill_at_first_round(line: str) -> None:
        tell(line)
        if line.startswith("boosting: round 1 of"):
            os.kill(pids[victim], signal.SIGKILL)

    ranks.on_line = kill_at_first_round
    started = time.monotonic()
    ranks.wait()
    assert time.monotonic() - started < 60
    result = run.result("train")
    assert (result.status, result.error_kind) == ("failed", "lost_rank" if victim else "training")
    assert result.spec_fingerprint == run.spec("train").fingerprint
    assert result.error.startswith("rank 1 died" if victim else "rank 0 of 2 was killed by SIGKILL")
    assert not any(Path(f"/proc/{pid}").exists() for pid in pids)
    assert not files.exists(f"{run.spec('train').output}/model/SHA256SUMS")
    assert [event["reason"] for event in run.events("failure")] == [result.error]


KILLS = (
    ("2 ranks, 1885 training rows", (0,)),
    ("boosting: round 1 of", (1,)),
    ("checkpoint after round 25", (0, 1)),
    ("boosting: resuming after round 25", (0, 1)),
    ("checkpoint after round 50", (1,)),
    ("checkpoint after round 75", (0, 1)),
    ("checkpoint after round 100", (0,)),
    ("checkpoint after round 125", (0, 1)),
    ("checkpoint after round 150", (0, 1)),
    ("boosting: validation log_loss", (0,)),
)
"""What rank 0 says before ranks are killed, and which: while it reads, boosts, keeps a checkpoint, and saves."""


def test_a_training_killed_at_ten_points_ends_with_the_bytes_of_an_undisturbed_one(
    trained: Any, new_run: MakeRun
) -> None:
    run = new_run("killed-ten-times")
    run.freeze()
    for number, (said, victims) in enumerate(KILLS):
        launched = run.launch("train")
        pids = [rank.process.pid for rank in launched.ranks._ranks]
        tell = launched.ranks.on_line

        def kill(line: str, said: str = said, victims: Any = victims, pids: Any = pids, tell: Any = tell) -> None:
            tell(line)
            if line.startswith(said):
                for victim in victims:
                    os.kill(pids[victim], signal.SIGKILL)

        launched.ranks.on_line = kill
        launched.ranks.wait()
        assert any(line.startswith(said) for line in launched.lines), (number, launched.lines)
        assert run.result("train").status == "failed", number
    result = run("train")
    assert result.status == "succeeded", result.error
    assert _model_bytes(run) == _model_bytes(trained)
    history = "train/history.json"
    assert files.read_text(f"{run.spec('train').run_dir}/{history}") == files.read_text(
        f"{trained.spec('train').run_dir}/{history}"
    )
    assert files.list_files(f"{run.spec('train').output}/checkpoint/boosting") == []


def test_truncated_checkpoint_is_logged_and_the_model_is_the_same(trained: Any, new_run: MakeRun) -> None:
    run = new_run("cut")
    run.freeze()
    launched = run.launch("train")
    tell, pids = launched.ranks.on_line, [rank.process.pid for rank in launched.ranks._ranks]

    def kill(line: str) -> None:
        tell(line)
        if line.startswith("checkpoint after round 50"):
            for pid in pids:
                os.kill(pid, signal.SIGKILL)

    launched.ranks.on_line = kill
    launched.ranks.wait()
    path = Path(run.spec("train").output, "checkpoint", "boosting", "round-000050.bin")
    path.write_bytes(path.read_bytes()[:1000])
    launched = run.launch("train")
    launched.ranks.wait()
    assert any("WARNING checkpoint not used: round-000050.bin is truncated" in line for line in launched.lines)
    assert run.result("train").status == "succeeded"
    assert _model_bytes(run) == _model_bytes(trained)


def test_a_full_disk_at_a_checkpoint_fails_clearly_on_all_ranks(new_run: MakeRun) -> None:
    run = new_run("full")
    run.freeze()
    folder = Path(run.spec("train").output, "checkpoint", "boosting")
    # a file system of 64 KiB in the place of the checkpoints
    folder.mkdir(parents=True)
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "none", folder], capture_output=True)
    if mounted.returncode:
        pytest.skip(f"a small file system needs root: {mounted.stderr.decode().strip()}")
    try:
        result = run("train")
    finally:
        subprocess.run(["umount", folder], check=True)
    assert (result.status, result.error_kind) == ("failed", "storage_full")
    assert result.error.startswith("no space left")


def test_missing_rank_is_named_by_rank_0(new_run: MakeRun) -> None:
    """Rank 0 alone, as when a pod stays pending."""
    run = new_run("alone")
    run.freeze()
    spec = run.spec("train")
    files.write_text(f"{spec.output}/spec.json", dump_json(spec))
    contract = {
        "RANK": "0",
        "WORLD_SIZE": "2",
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(free_port()),
        SECRET: "s" * 32,
    }
    done = subprocess.run(
        [sys.executable, "-m", "nightjar_jobs.train", "--spec", f"{spec.output}/spec.json"],
        env={**os.environ, **contract, "NIGHTJAR_RENDEZVOUS_SECONDS": "1.5"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 3
    last = done.stdout.strip().splitlines()[-1]
    assert last.startswith("ERROR rank 1 of 2 did not connect within 1.5 s")
    assert run.result("train").error == last.removeprefix("ERROR ")


def test_without_a_frozen_training_set_the_error_says_which_task(new_run: MakeRun) -> None:
    run = new_run("unfrozen")
    result = run("train")
    assert result.status == "failed"
    assert "this run has no frozen training set" in result.error
    assert "freeze_training_set" in result.error


def _on_ranks(world_size: int, check: Callable[[Group, int], None]) -> list[Exception | None]:
    """Return the errors of ``check`` on each rank."""
    port = free_port()
    errors: list[Exception | None] = [None] * world_size

    def one(rank: int) -> None:
        contract = LaunchContract(rank=rank, world_size=world_size, master_addr="127.0.0.1", master_port=port)
        group = Group(contract, "job", timeout_seconds=10)
        try:
            check(group, rank)
        except Exception as error:
            errors[rank] = error

    threads = [threading.Thread(target=one, args=(rank,)) for rank in range(world_size)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return errors


def _check_on_ranks(training_set: TrainingSet, counts: list[tuple[int, int]]) -> list[Exception | None]:
    """``check_shards`` on ranks that hold (train rows, validation rows)."""

    def check(group: Group, rank: int) -> None:
        shards = [
            Shard(columns=3, count_labels=count_labels, rows=rows, labels=Counter(positives=rows // 2))
            for rows in counts[rank]
        ]
        check_shards(group, training_set, *shards, where="here")

    return _on_ranks(len(counts), check)


def test_ranks_that_disagree_on_the_data_are_the_same_clear_error_on_every_rank(trained: Any) -> None:
    mine = TrainingSet.of_run(trained.spec("train"))
    other = replace(mine, tables={**mine.tables, "features/flight_delay": 7})
    errors = _on_ranks(3, lambda group, rank: check_same_data(group, other if rank == 2 else mine, where="here"))
    assert all(isinstance(error, TrainingError) for error in errors)
    assert len({str(error) for error in errors}) == 1
    assert "rank 2 has read another training set than rank 0" in str(errors[0])
    assert "features/flight_delay 7, not 33" in str(errors[0])


def test_out_of_memory_is_reported_by_the_affected_rank(new_run: MakeRun) -> None:
    run = new_run("little-memory", world_size=1)
    run.freeze()
    # the limit comes when all is imported, so that it is the training which does not fit
    program = f"""
import resource, sys
from nightjar.protocol.documents import load_json
from nightjar.protocol.job import JobSpec
from nightjar.training.data import shards
from nightjar_jobs import train
from nightjar_jobs.runner import run_rank

read = shards.Shard.append

def append(shard, matrix, labels, *weights):
    size = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (size + 2**29, size + 2**29))
    matrix.repeat(1_000_000)
    read(shard, matrix, labels, *weights)

shards.Shard.append = append
sys.exit(run_rank(train.run, load_json(JobSpec, {dump_json(run.spec("train"))!r}), rank=0))
"""
    contract = {"RANK": "0", "WORLD_SIZE": "1", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free_port())}
    done = subprocess.run([sys.executable, "-c", program], env={**os.environ, **contract}, check=False)
    assert done.returncode == 3
    assert run.result("train").error.startswith("rank 0 ran out of memory after ")
    assert "train on more ranks" in run.result("train").error


def test_only_the_rank_that_is_out_of_memory_says_so() -> None:
    theirs = TrainingError("rank 1 failed: rank 1 ran out of memory after 9 MB: out of memory", where="x", fix="y")
    theirs.__cause__ = RuntimeError("Connection reset by peer")
    assert out_of_memory(theirs, 0) is None
    engine = TrainingError("XGBoost failed", where="x", fix="y")
    engine.__cause__ = RuntimeError("std::bad_alloc")
    mine = out_of_memory(engine, 3)
    assert mine is not None
    assert mine.what.startswith("rank 3 ran out of memory")
    assert out_of_memory(RuntimeError("CUDA out of memory. Tried to allocate 2 GiB"), 3) is not None
    assert out_of_memory(RuntimeError("something else"), 3) is None


def test_an_empty_shard_is_the_same_clear_error_on_every_rank(trained: Any) -> None:
    training_set = TrainingSet.of_run(trained.spec("train"))
    errors = _check_on_ranks(training_set, [(10, 5), (0, 5), (10, 5)])
    assert all(isinstance(error, TrainingError) for error in errors)
    assert "rank 1 has no train rows: 13 days for 3 ranks" in str(errors[0])


def test_rows_that_are_not_those_frozen_are_refused(trained: Any) -> None:
    training_set = TrainingSet.of_run(trained.spec("train"))
    errors = _check_on_ranks(training_set, [(10, 5), (10, 6)])
    assert all(isinstance(error, RowCountError) for error in errors)
    assert "frozen with 1885 rows" in str(errors[1])


def test_one_rank_trains_alone(new_run: MakeRun) -> None:
    run = new_run("one-rank", world_size=1)
    run.freeze()
    assert run("train").status == "succeeded"
    assert run.result("train").world_size == 1


def test_failure_after_the_ranks_have_closed_is_reported_unchanged(
    trained: Any, training_lake: Path, tmp_path: Path
) -> None:
    lake = tmp_path / "lake"
    for table in ("features", "labels"):
        shutil.copytree(training_lake / table, lake / table)
    write_deltalake(f"{lake}/ledger/events", pa.table({"ds": [date(2013, 4, 1)], "other": [1]}))
    run = type(trained)(lake, "parted")
    run.freeze()
    result = run("train")
    assert result.status == "failed"
    assert "ledger/events is not as declared: other columns" in result.error

"""The result of ``make run EXIT=1`` for a new user."""

from __future__ import annotations

import hashlib
import json
import os
import re
import signal
import subprocess
import time
from datetime import date
from pathlib import Path

import pyarrow.compute as pc
import pytest
from tests.e2e.conftest import USE_CASE, FirstRun, processes_of

from nightjar.lake import ledger
from nightjar.lake.lake import Lake
from nightjar.lake.rows import read_nights

pytestmark = [pytest.mark.e2e, pytest.mark.spark, pytest.mark.timeout(1500)]
NIGHTS = [date(2013, 4, 1), date(2013, 4, 2), date(2013, 4, 3)]


def result(first_run: FirstRun, dag: str, task: str) -> dict[str, dict[str, float]]:
    folder = next(Path(first_run.lake).glob(f"_runs/{USE_CASE.name}_{dag}/*"))
    document: dict[str, dict[str, float]] = json.loads((folder / task / "result.json").read_text())
    return document


def test_it_prints_what_it_made(first_run: FirstRun) -> None:
    output = first_run.output
    for night in NIGHTS:
        assert re.search(rf"^{night} +\d+ +\d+ +\d+ +(stable|drift)$", output, re.MULTILINE), output
    assert re.search(r"log_loss 0\.[45]\d+ on [\d,]+ rows held out; version 1 is champion", output), output
    assert "Airflow http://127.0.0.1:" in output
    assert re.search(r"user admin, password \S{8,}", output)
    riskiest = re.findall(r"^2013-04-04 .*\b(EWR|JFK|LGA)\b", output, re.MULTILINE)
    assert len(riskiest) == 10, output


def test_what_it_wrote_is_for_its_owner_alone(first_run: FirstRun) -> None:
    written = [path for path in first_run.paths.var.rglob("*") if not path.is_symlink()]
    assert len(written) > 1000
    assert not [str(path) for path in written if path.stat().st_mode & 0o077]


def test_the_snippet_for_duckdb_works_as_pasted(first_run: FirstRun) -> None:
    snippet = first_run.output.split("Read the scores with DuckDB")[1].split("\n", 1)[1].split("\nEOF")[0] + "\nEOF\n"
    shown = subprocess.run(
        ["bash", "-c", snippet], cwd=first_run.paths.root, capture_output=True, text=True, check=False
    )
    assert shown.returncode == 0, shown.stderr
    for night in NIGHTS:
        assert str(night) in shown.stdout


def test_every_scheduled_flight_of_the_next_day_is_scored_once(first_run: FirstRun) -> None:
    for night in NIGHTS:
        scheduled = read_nights(Lake(first_run.lake).open_table("raw/schedule"), [night]).num_rows
        scores = Lake(first_run.lake).table(USE_CASE.score_table).read_nights([night])
        assert scores.num_rows == scheduled > 800
        assert scores.group_by(list(USE_CASE.key)).aggregate([]).num_rows == scheduled
        assert set(scores["flight_date"].unique().to_pylist()) == {date.fromordinal(night.toordinal() + 1)}


def test_the_model_reaches_its_quality_on_two_ranks(first_run: FirstRun) -> None:
    metrics = result(first_run, "training", "evaluate")["metrics"]
    assert metrics["holdout_auc"] >= 0.70
    assert metrics["holdout_rows"] > 10_000
    card = json.loads(next(Path(first_run.lake).glob("models/*/*/model.json")).read_text())
    assert card["world_size"] == 2


def test_a_row_leads_to_model_training_set_and_commit(first_run: FirstRun) -> None:
    scores = Lake(first_run.lake).table(USE_CASE.score_table).read_nights(NIGHTS)
    (sha256,) = set(scores["model_sha256"].unique().to_pylist())
    (version,) = set(scores["model_version"].unique().to_pylist())
    events = ledger.read(Lake(first_run.lake)).to_pylist()
    kinds = [event["event"] for event in events]
    assert kinds.count("publish") == 3
    assert "promotion" in kinds
    promotion = next(event for event in events if event["event"] == "promotion")
    assert promotion["model_version"] == version
    folder = Path(first_run.lake) / "models" / USE_CASE.name / sha256
    card = json.loads((folder / "model.json").read_text())
    assert card["tables"]["features/flight_delay"] >= 0
    assert hashlib.sha256((folder / "SHA256SUMS").read_bytes()).hexdigest() == sha256


def test_the_report_is_one_page_that_needs_nothing_else(first_run: FirstRun) -> None:
    for night in NIGHTS:
        page = (Path(first_run.lake) / "reports" / USE_CASE.name / str(night) / "drift.html").read_text()
        assert "<svg" in page
        assert not re.search(r"(src|href)=[\"']https?://(?!127\.0\.0\.1)", page)


def test_drift_is_kept_by_column(first_run: FirstRun) -> None:
    drift = read_nights(Lake(first_run.lake).open_table("monitoring/drift"), NIGHTS)
    assert set(drift["ds"].unique().to_pylist()) == set(NIGHTS)
    assert "prediction" in drift["column_name"].unique().to_pylist()
    watched = {feature.name for feature in USE_CASE.features.columns} | {"prediction"}
    for night in NIGHTS:
        names = drift.filter(pc.equal(drift["ds"], night))["column_name"].to_pylist()
        assert len(names) == len(set(names))
        assert watched <= set(names) <= watched | {"label"}, "features, the prediction, perhaps labels"
    assert 0 < pc.max(drift["psi"]).as_py() < 10


def test_each_night_is_watched(first_run: FirstRun) -> None:
    figures = read_nights(Lake(first_run.lake).open_table("monitoring/landing"), NIGHTS)
    assert set(figures["table_name"].unique().to_pylist()) == {source.table.name for source in USE_CASE.data.sources}
    performance = read_nights(Lake(first_run.lake).open_table("monitoring/performance"), NIGHTS).to_pylist()
    (auc,) = {row["verdict"] for row in performance if row["metric"] == "auc" and not row["slice"]}
    assert auc == "estimated"  # the labels of the first night are judged three nights later
    assert all(0.5 < row["estimate"] < 1 for row in performance if row["metric"] == "auc" and not row["slice"])
    skew = read_nights(Lake(first_run.lake).open_table("monitoring/skew"), NIGHTS[1:]).to_pylist()
    assert {(row["verdict"], row["differing_rows"]) for row in skew if row["checked_night"]} == {("same", 0)}
    assert len({row["column_name"] for row in skew}) > len(USE_CASE.features.columns)
    reacted = [json.loads((run / "react/result.json").read_text()) for run in nightly_runs(first_run)]
    assert [result["retrain"]["request"] for result in reacted] == [False] * 3


def nightly_runs(first_run: FirstRun) -> list[Path]:
    return sorted(Path(first_run.lake).glob(f"_runs/{USE_CASE.name}_nightly/*"))


def test_the_contract_is_in_the_ledger(first_run: FirstRun) -> None:
    (event,) = ledger.read(Lake(first_run.lake), event="contract").to_pylist()
    details = json.loads(event["details"])
    assert (event["reason"], details["version"]) == ("first contract", 1)
    assert details["document"]["raw/flights"]["columns"]["distance"] == {
        "type": "int", "nullable": True, "unit": "miles",
    }  # fmt: skip


def test_no_pickle_is_anywhere(first_run: FirstRun) -> None:
    state = [path for path in first_run.paths.var.rglob("*") if path.suffix in {".pkl", ".pickle", ".joblib"}]
    assert state == []


def test_nothing_is_left_running(first_run: FirstRun) -> None:
    assert processes_of(first_run.paths) == []


def test_control_c_ends_everything_within_seconds(first_run: FirstRun) -> None:
    environ = {name: value for name, value in os.environ.items() if name not in {"EXIT", "MAKEFLAGS", "MAKELEVEL"}}
    path = [folder for folder in environ["PATH"].split(os.pathsep) if folder != str(first_run.paths.venv / "bin")]
    run = subprocess.Popen(
        ["make", "run"],
        cwd=first_run.paths.root,
        env={**environ, "NIGHTJAR_VAR": str(first_run.paths.var), "PATH": os.pathsep.join(path)},  # as in a new shell
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # ignored where tests run in the background
    )
    assert run.stdout
    lines: list[str] = []
    while (line := run.stdout.readline()) and "Ctrl-C ends them" not in line:
        lines.append(line)
    assert "Ctrl-C ends them" in line, "".join(lines)
    assert len(processes_of(first_run.paths)) > 6
    os.killpg(run.pid, signal.SIGINT)  # what a terminal does
    asked = time.monotonic()
    while (run.poll() is None or processes_of(first_run.paths)) and time.monotonic() - asked < 60:
        time.sleep(0.2)
    assert processes_of(first_run.paths) == []
    assert run.poll() is not None
    assert time.monotonic() - asked < 20
    assert "".join(lines).count("done before") == 5, "run again, it goes on from what is there"

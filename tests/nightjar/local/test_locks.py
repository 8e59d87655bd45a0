"""Locks and derived files: no hosts, equal versions everywhere, everything that the images need."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

from nightjar.local.locks import pins
from nightjar.local.paths import Paths

ROOT = Paths.here().root
LOCKS = sorted((ROOT / "requirements").glob("*.lock"))
CUSTOMERS = {
    "apache-airflow", "apache-airflow-providers-cncf-kubernetes", "pyspark", "xgboost", "mlflow",
    "great-expectations", "delta-spark", "boto3", "pandas",
}  # fmt: skip


def read(name: str) -> dict[str, str]:
    return pins((ROOT / name).read_text())


@pytest.mark.parametrize(
    "file", [*LOCKS, ROOT / "requirements.txt", ROOT / "spark" / "jars.lock"], ids=lambda file: file.name
)
def test_no_lock_names_a_host(file: Path) -> None:
    text = file.read_text()
    assert "://" not in text
    assert not re.search(r"\b[\w-]+\.(org|com|net|io|dev)\b(?!\.)[/ ]", text)
    assert "--index" not in text
    assert "--find-links" not in text


@pytest.mark.parametrize("file", LOCKS, ids=lambda file: file.name)
def test_every_locked_package_has_a_hash(file: Path) -> None:
    for block in re.split(r"\n(?=\w)", file.read_text().strip()):
        assert re.fullmatch(r"\S+==\S+( ; .*)?( \\\n    --hash=sha256:[0-9a-f]{64})+", block), block[:100]


def test_both_environments_and_the_images_have_the_same_versions() -> None:
    dev = read("requirements/dev.lock").items()
    parts = ("run", "training", "training-torch")
    for part in (*(f"requirements/{name}.lock" for name in parts), "requirements.txt"):
        assert read(part).items() <= dev, sorted(read(part).items() - dev)
    assert read("requirements.txt") == read("requirements/run.lock")


def test_the_airflow_image_has_what_customers_ask_for_and_no_test_tools() -> None:
    image = read("requirements.txt")
    assert image.keys() >= CUSTOMERS
    assert not image.keys() & {"pytest", "mypy", "ruff", "playwright", "hypothesis", "import-linter"}


def test_the_direct_dependencies_are_at_their_pins() -> None:
    declared = re.findall(r'"([\w-]+)==([\w.]+)"', (ROOT / "pyproject.toml").read_text().split("[tool.")[0])
    locked = read("requirements/dev.lock")
    assert len(declared) > 10
    assert {name: locked[name] for name, _ in declared if name in locked} == {n: v for n, v in declared if n in locked}


def test_the_training_image_has_torch_and_its_libraries_only_where_asked_for() -> None:
    small, large = read("requirements/training.lock"), read("requirements/training-torch.lock")
    assert {"torch", "onnx", "safetensors", "nvidia-nccl-cu12", *small} <= large.keys()
    unwanted = ("torch", "triton", "nvidia", "cuda", "pyspark", "apache-airflow", "great-expectations", "pytest")
    assert not [name for name in small if name.startswith(unwanted)]
    dockerfile = (ROOT / "jobs" / "Dockerfile").read_text()
    assert "dev.lock" not in dockerfile
    assert "--no-deps" in dockerfile, "what a lock leaves out stays out"


def test_make_run_does_without_torch() -> None:
    assert not read("requirements/run.lock").keys() & {"torch", "triton", "nvidia-cudnn-cu13", "pytest"}


def test_the_runtime_image_is_of_the_locked_airflow_and_python() -> None:
    airflow = ".".join(read("requirements.txt")["apache-airflow"].split(".")[:2])
    image = re.search(r"^FROM \S+/runtime:(\S+)-python-(\S+)$", (ROOT / "Dockerfile").read_text(), re.MULTILINE)
    assert image
    assert image[1].split("-")[0] == airflow
    assert image[2] == "3.11"
    deployment = yaml.safe_load((ROOT / "astro.yaml").read_text())["deployment"]
    assert deployment["configuration"]["runtime_version"] == image[1]


def test_the_deployment_file_has_the_fields_that_the_astro_cli_asks_for() -> None:
    deployment = yaml.safe_load((ROOT / "astro.yaml").read_text())["deployment"]
    configuration = deployment["configuration"]
    known = {
        "name", "description", "runtime_version", "dag_deploy_enabled", "ci_cd_enforcement", "scheduler_size",
        "is_high_availability", "executor", "workspace_name", "deployment_type", "cloud_provider", "region",
        "default_task_pod_cpu", "default_task_pod_memory", "resource_quota_cpu", "resource_quota_memory",
    }  # fmt: skip
    assert set(configuration) == known
    assert deployment["worker_queues"][0]["name"] == "default"
    assert all(set(variable) == {"key", "value", "is_secret"} for variable in deployment["environment_variables"])
    keys = {variable["key"] for variable in deployment["environment_variables"]}
    assert {"NIGHTJAR_LAKE", "MLFLOW_TRACKING_URI", "AIRFLOW_CONN_SPARK_DEFAULT", "NIGHTJAR_GIT_COMMIT"} <= keys
    (queue,) = deployment["worker_queues"]
    assert queue["min_worker_count"] == queue["max_worker_count"] > 0, "a worker that goes takes a Spark driver along"


def test_the_images_copy_what_is_there_and_do_not_run_as_root() -> None:
    training = (ROOT / "jobs" / "Dockerfile").read_text()
    for source in re.findall(r"^COPY (.*) \S+$", training, re.MULTILINE):
        assert all((ROOT / path).exists() for path in source.split())
    assert re.findall(r"^USER (\S+)$", training, re.MULTILINE)[-1] == "10001:10001"
    assert "openjdk-17" in (ROOT / "packages.txt").read_text()

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from airflow.sdk.exceptions import AirflowFailException

from nightjar.contracts.errors import ConfigurationError
from nightjar_airflow.cluster.settings import ClusterSettings
from nightjar_airflow.cluster.template import read_template


def settings(**training: Any) -> ClusterSettings:
    return ClusterSettings.from_extra({"namespace": "ml", "training": {"image": "i", **training}}, "training_default")


@pytest.mark.parametrize(
    ("training", "message"),
    [
        ({"imge": "x"}, "imge: Extra inputs are not permitted"),
        ({"image": 7}, "image: Input should be a valid string"),
        ({"start_timeout_seconds": -1}, "start_timeout_seconds: Input should be greater than 0"),
        ({"env": {"A": 1}}, "env.A: Input should be a valid string"),
        ({"gpu_types": {"h100": {"selector": {}}}}, "gpu_types.h100.selector: Extra inputs"),
        ({"user_id": 0}, "user_id: Input should be greater than 0"),
    ],
)
def test_settings_that_make_no_sense_are_named(training: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message) as raised:
        settings(**training)
    assert raised.value.where == "connection training_default, extra.training"


def test_namespace_and_image_are_needed() -> None:
    with pytest.raises(ConfigurationError, match=r"namespace: .*image: Field required") as raised:
        ClusterSettings.from_extra({}, "training_default")
    assert raised.value.how_many == 2


def test_a_gpu_type_is_the_environments() -> None:
    known = settings(gpu_types={"h100": {"node_selector": {"gpu": "h100"}}})
    assert known.gpu_type("h100").node_selector == {"gpu": "h100"}
    assert known.gpu_type(None).resource == "nvidia.com/gpu"
    with pytest.raises(ConfigurationError, match=r"no GPU type 'b200' .*choose one of h100"):
        known.gpu_type("b200")


@pytest.mark.parametrize(
    ("text", "message"), [(None, "No such file"), ("kind: Job", "is no pod"), ("a: [", "cannot be read")]
)
def test_a_template_that_is_none(tmp_path: Path, text: str | None, message: str) -> None:
    path = tmp_path / "pod.yaml"
    if text is not None:
        path.write_text(text)
    with pytest.raises(ConfigurationError, match=message):
        read_template(str(path))


@pytest.mark.parametrize(
    ("connection", "message"),
    [
        (None, "there is no connection training_default"),
        ({"conn_type": "ssh"}, "trainings cannot run on a connection of type 'ssh'"),
        ({"conn_type": "kubernetes"}, "image: Field required"),
    ],
)
def test_a_connection_that_says_nothing_is_an_error_and_never_another_backend(
    deployment: Any, monkeypatch: pytest.MonkeyPatch, connection: dict[str, Any] | None, message: str
) -> None:
    if connection is None:
        monkeypatch.delenv("AIRFLOW_CONN_TRAINING_DEFAULT")
    else:
        monkeypatch.setenv("AIRFLOW_CONN_TRAINING_DEFAULT", json.dumps(connection))
    task = deployment.task()
    with pytest.raises(AirflowFailException, match=message):
        task.operator.execute(task.context)


def test_on_one_machine_the_same_operator_starts_processes(deployment: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_TRAINING_DEFAULT", '{"conn_type": "local"}')
    task = deployment.task()
    with pytest.raises(AirflowFailException, match="this run has frozen no training set"):
        task.operator.execute(task.context)
    assert deployment.cluster.server.requests == []

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from airflow.sdk.exceptions import AirflowFailException

from nightjar.protocol.errors import ConfigurationError
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


@pytest.mark.parametrize(
    "training",
    [
        {"env_from_secrets": ["lake-keys"]},
        {"env_from_secrets": "lake-keys"},
        {"env_from_secrets": [{"name": "lake-keys"}, "registry-keys"]},
        {"env_from_secrets": [{"name": "lake-keys", "optional": True}]},
        {"image_pull_secrets": ["lake-keys"]},
        {"service_account": "lake-keys"},
        {"volumes": [{"name": "v", "secret": {"secretName": "lake-keys"}}]},
        {"volumes": [{"name": "v", "azureFile": {"secretName": "lake-keys", "shareName": "s"}}]},
        {"volumes": [{"name": "v", "projected": {"sources": [{"secret": "lake-keys"}]}}]},
    ],
)
def test_a_secret_whose_name_airflow_would_mask_is_refused(training: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError, match="not right") as raised:
        settings(**training)
    assert "lake-keys" not in str(raised.value)
    assert any(part in str(raised.value) for part in ('as {"name": "..."}', "projected volume", "valid list"))


def test_names_that_are_accepted_are_not_masked_by_airflow() -> None:
    from airflow.sdk._shared.secrets_masker.secrets_masker import DEFAULT_SENSITIVE_FIELDS, SecretsMasker

    accepted = {
        "env_from_secrets": [{"name": "lake-keys"}],
        "image_pull_secrets": [{"name": "registry-login"}],
        "service_account": {"name": "training-account"},
        "volumes": [
            {"name": "first-volume", "projected": {"sources": [{"secret": {"name": "ca-bundle"}}]}},
            {"name": "second-volume", "csi": {"driver": "d.example", "nodePublishSecretRef": {"name": "vault-login"}}},
        ],
    }
    settings(**accepted)
    masker = SecretsMasker()
    masker.sensitive_variables_fields = list(DEFAULT_SENSITIVE_FIELDS)
    masker.add_mask({"training": accepted, "password": "really-hidden"})
    for name in ("lake-keys", "registry-login", "training-account", "ca-bundle", "vault-login"):
        assert masker.redact(f'secret "{name}" not found') == f'secret "{name}" not found'
    assert masker.redact("really-hidden") == "***"
    masker.add_mask({"training": {"env_from_secrets": ["lake-keys"]}})
    assert masker.redact("lake-keys") == "***", "this is why the plain form is refused"


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
    ("text", "message"), [(None, "No such file"), ("kind: Job", "is not a pod"), ("a: [", "cannot be read")]
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
        (None, "the connection training_default does not exist"),
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
    with pytest.raises(AirflowFailException, match="this run has no frozen training set"):
        task.operator.execute(task.context)
    assert deployment.cluster.server.requests == []

"""Job and Service as golden files; each is valid by Kubernetes' own schema."""

from __future__ import annotations

import os
from datetime import date
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml
from kubernetes_double.cluster import restricted_problems

from nightjar.declaration.resources import SMALL, Resources
from nightjar.declaration.training import Training
from nightjar.protocol.job import JobSpec
from nightjar.protocol.programs import TRAINING_PROGRAMS
from nightjar_airflow.cluster.manifests import TrainingJob
from nightjar_airflow.cluster.settings import ClusterSettings

GOLDENS = Path(__file__).resolve().parents[1] / "goldens" / "kubernetes"
VERSIONS = ("1.31", "1.34", "1.37")
TEMPLATE = """
apiVersion: v1
kind: Pod
metadata:
  annotations: {cluster-autoscaler.kubernetes.io/safe-to-evict: "false"}
spec:
  hostNetwork: false
  restartPolicy: Always
  topologySpreadConstraints:
    - {maxSkew: 1, topologyKey: kubernetes.io/hostname, whenUnsatisfiable: DoNotSchedule}
  tolerations:
    - {key: spot, operator: Exists}
  containers:
    - name: rank
      image: another
      env: [{name: NCCL_DEBUG, value: WARN}, {name: WORLD_SIZE, value: "99"}]
      securityContext: {allowPrivilegeEscalation: true}
      volumeMounts: [{name: scratch, mountPath: /scratch}]
  volumes:
    - {name: scratch, emptyDir: {}}
"""


def training(
    settings: dict[str, Any],
    resources: Resources,
    *,
    program: str = "train",
    world_size: int = 2,
    map_index: int | None = None,
    **more: Any,
) -> TrainingJob:
    night = date(2013, 4, 1)
    spec = JobSpec(
        program=program, use_case="flight_delay", first_night=night, last_night=night, dag_id="flight_delay_training",
        run_id="manual__2013-04-01T06:00:00+00:00", task_id=program, map_index=map_index, lake="s3a://lake",
        world_size=world_size, threads_per_rank=resources.cpus,
    )  # fmt: skip
    return TrainingJob(
        spec=spec,
        spec_uri=f"{spec.output}/spec.json",
        resources=resources,
        settings=ClusterSettings.from_extra({"namespace": "ml", "training": settings}, "training_default"),
        environ={"NIGHTJAR_LAKE": "s3a://lake", "MLFLOW_TRACKING_URI": "https://mlflow"},
        **{"try_number": 1, "max_tries": 2, **more},
    )


def small() -> TrainingJob:
    return training({"image": "registry/nightjar-training:1"}, Resources(cpus=4, memory_gib=8))


def gpus(template: Path) -> TrainingJob:
    template.write_text(TEMPLATE)
    settings = {
        "image": "registry/nightjar-training:1",
        "image_pull_secrets": [{"name": "registry"}],
        "service_account": {"name": "training"},
        "env": {"NCCL_SOCKET_IFNAME": "eth0"},
        "env_from_secrets": [{"name": "lake-keys"}],
        "volumes": [{"name": "checkpoints", "persistentVolumeClaim": {"claimName": "checkpoints"}}],
        "volume_mounts": [{"name": "checkpoints", "mountPath": "/checkpoints"}],
        "checkpoints": "/checkpoints",
        "node_selector": {"pool": "training"},
        "tolerations": [{"key": "training", "operator": "Exists"}],
        "gpu_types": {
            "h100": {
                "node_selector": {"nvidia.com/gpu.product": "NVIDIA-H100-80GB-HBM3"},
                "tolerations": [{"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"}],
            }
        },
        "priority_class": "batch",
        "queue": "gpus",
        "pod_template_file": str(template),
    }
    resources = Resources(cpus=16, memory_gib=128, shared_memory_gib=16, gpus=8, gpu_type="h100", max_hours=6)
    return training(settings, resources, world_size=4, try_number=3)


def job_and_service(made: TrainingJob) -> list[dict[str, Any]]:
    return [made.job(), made.service(made.name, "11111111-2222-3333-4444-555555555555")]


@pytest.mark.parametrize("name", ["small", "gpus"])
def test_manifests_are_the_goldens(name: str, tmp_path: Path) -> None:
    """Rewritten with ``NIGHTJAR_WRITE_GOLDENS=1``; review the difference before committing it."""
    made = small() if name == "small" else gpus(tmp_path / "pod.yaml")
    text = yaml.safe_dump_all(job_and_service(made), sort_keys=False, width=120)
    golden = GOLDENS / f"{name}.yaml"
    if os.environ.get("NIGHTJAR_WRITE_GOLDENS") == "1":
        golden.parent.mkdir(parents=True, exist_ok=True)
        golden.write_text(text)
    assert text == golden.read_text()


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("golden", sorted(GOLDENS.glob("*.yaml")), ids=lambda path: path.stem)
def test_goldens_are_valid_for_kubernetes(golden: Path, version: str) -> None:
    for manifest in yaml.safe_load_all(golden.read_text()):
        kubernetes_validate.validate(manifest, version, strict=True)


def test_a_manifest_that_is_not_valid_would_be_noticed() -> None:
    job = small().job()
    job["spec"]["backoffLimitPerIndx"] = 0
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(job, VERSIONS[0], strict=True)


def test_pods_meet_the_restricted_standard_even_under_a_template_that_does_not(tmp_path: Path) -> None:
    for made in (small(), gpus(tmp_path / "pod.yaml")):
        pod = made.job()["spec"]["template"]["spec"]
        assert restricted_problems(pod) == []
        assert pod["containers"][0]["securityContext"]["readOnlyRootFilesystem"] is True
        assert pod["automountServiceAccountToken"] is False


def test_what_the_project_sets_wins_over_the_template_and_the_rest_is_the_templates(tmp_path: Path) -> None:
    template = gpus(tmp_path / "pod.yaml").job()["spec"]["template"]
    pod = template["spec"]
    (container,) = pod["containers"]
    env = {variable["name"]: variable.get("value") for variable in container["env"]}
    assert (container["image"], env["WORLD_SIZE"], env["NCCL_DEBUG"]) == ("registry/nightjar-training:1", "4", "WARN")
    assert pod["restartPolicy"] == "Never"
    assert pod["topologySpreadConstraints"][0]["maxSkew"] == 1
    assert [t["key"] for t in pod["tolerations"]] == ["spot", "training", "nvidia.com/gpu"]
    assert {mount["mountPath"] for mount in container["volumeMounts"]} == {
        "/tmp", "/dev/shm", "/checkpoints", "/scratch",
    }  # fmt: skip
    assert template["metadata"]["annotations"] == {"cluster-autoscaler.kubernetes.io/safe-to-evict": "false"}


def test_names_tell_use_case_run_and_try_apart_and_fit_a_host_name() -> None:
    settings, resources = {"image": "i"}, Resources()
    first = training(settings, resources)
    assert first.name == training(settings, resources).name
    others = [
        training(settings, resources, try_number=2),
        training(settings, resources, map_index=0),
        training(settings, resources, program="evaluate"),
        training(settings, resources, map_index=1),
    ]
    assert len({first.name, *(other.name for other in others)}) == 5
    assert first.task_id == others[0].task_id, "a retry finds the Job of the try before"
    assert len(f"{training(settings, resources, world_size=1000, try_number=100).name}-999") <= 63


def test_only_what_trains_gets_gpus() -> None:
    resources = Resources(gpus=2)
    for program, expected in (("train", "2"), ("tune", "2"), ("select_features", "2"), ("evaluate", None)):
        pod = training({"image": "i"}, resources, program=program).job()["spec"]["template"]["spec"]
        assert pod["containers"][0]["resources"]["limits"].get("nvidia.com/gpu") == expected


def test_each_job_has_its_own_secret_in_no_other_manifest() -> None:
    made = small()
    drawn = [made.secret(made.name, "uid")["stringData"]["rendezvous"] for _ in range(2)]
    assert [len(secret) for secret in drawn] == [64, 64]
    assert drawn[0] != drawn[1]
    assert not any(secret in yaml.safe_dump_all(job_and_service(made)) for secret in drawn)
    (variable,) = (
        variable
        for variable in made.job()["spec"]["template"]["spec"]["containers"][0]["env"]
        if variable["name"] == "NIGHTJAR_RENDEZVOUS_SECRET"
    )
    assert variable["valueFrom"] == {"secretKeyRef": {"name": made.name, "key": "rendezvous"}}


@pytest.mark.parametrize("program", TRAINING_PROGRAMS)
def test_a_program_that_does_not_train_asks_for_little(program: str) -> None:
    heavy, light = Resources(cpus=16, memory_gib=64, gpus=2), Resources(cpus=2, memory_gib=3)
    declared = Training(resources=heavy, evaluation_resources=light)
    assert declared.resources_of(program) is (heavy if program in ("train", "tune", "select_features") else light)
    default = Training().resources_of(program)
    assert (default.cpus, default.memory_gib) == ((4, 8.0) if default is not SMALL else (1, 2.0))

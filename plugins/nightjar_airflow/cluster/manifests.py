"""Manifests of one training: an Indexed Job with one "restricted" pod per rank, and a headless Service."""

from __future__ import annotations

import hashlib
import secrets
from dataclasses import dataclass
from typing import Any

from nightjar.declaration.resources import Resources
from nightjar.protocol.documents import reading
from nightjar.protocol.job import JobSpec
from nightjar.protocol.programs import FITTING_PROGRAMS
from nightjar.training.distributed.launch import EXIT_REPORTED, EXIT_TERMINATED
from nightjar.training.distributed.rendezvous import SECRET
from nightjar_airflow.cluster.settings import ClusterSettings
from nightjar_airflow.cluster.template import over, read_template

CONTAINER = "rank"
MASTER_PORT = 29500
SECRET_KEY = "rendezvous"  # noqa: S105 (its name)
TASK_LABEL = "nightjar/task"
SPEC_ANNOTATION = "nightjar/spec"
LAST_TRY_ANNOTATION = "nightjar/last-try"
QUEUE_LABEL = "kueue.x-k8s.io/queue-name"
ENDS_ALL = [EXIT_REPORTED, 137, EXIT_TERMINATED]
RANK_ANNOTATION = "batch.kubernetes.io/job-completion-index"
JOB_LABEL = "batch.kubernetes.io/job-name"

Manifest = dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class TrainingJob:
    """One attempt of a task as a Job.

    Attributes:
        spec: Spec of the program.
        spec_uri: Location of the spec.
        try_number: Airflow's attempt number, from 1.
        max_tries: Airflow's last attempt; it grows when the task is cleared, not when it is retried.
        resources: Resources of a rank.
        settings: Settings of the environment.
        environ: Environment variables passed on from the deployment.
    """

    spec: JobSpec
    spec_uri: str
    try_number: int
    max_tries: int
    resources: Resources
    settings: ClusterSettings
    environ: dict[str, str]

    @property
    def task_id(self) -> str:
        """Hash of a run's task, equal for all its attempts; value of :data:`TASK_LABEL`."""
        map_index = -1 if self.spec.map_index is None else self.spec.map_index
        parts = (self.spec.dag_id, self.spec.run_id, self.spec.task_id, str(map_index))
        return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:12]

    @property
    def name(self) -> str:
        """Use case, program, run and attempt; short enough to be a host name with the rank appended."""
        words = f"{self.spec.use_case[:20]}-{self.spec.program[:12]}".replace("_", "-").strip("-")
        return f"{words}-{self.task_id}-{self.try_number}"

    @property
    def labels(self) -> dict[str, str]:
        """Labels of the Job, its pods, its Service and its Secret."""
        return {
            "app.kubernetes.io/name": "nightjar",
            "app.kubernetes.io/component": self.spec.program,
            "nightjar/use-case": self.spec.use_case.rstrip("_"),
            TASK_LABEL: self.task_id,
        }

    def job(self) -> Manifest:
        """Return the Job. A rank is never restarted alone, as its peers have lost it; the retry restarts all together.

        A rank that the cluster removed, killed or stopped ends the Job immediately, and so does a first rank that has
        reported its failure. After any other failure, the first rank gets time to write its report.
        """
        queue = self.resources.queue or self.settings.queue
        return {
            "apiVersion": "batch/v1",
            "kind": "Job",
            "metadata": {
                "name": self.name,
                "namespace": self.settings.namespace,
                "labels": {**self.labels, **({QUEUE_LABEL: queue} if queue else {})},
                "annotations": {
                    SPEC_ANNOTATION: self.spec.fingerprint,
                    "nightjar/dag-id": self.spec.dag_id,
                    "nightjar/run-id": self.spec.run_id,
                    "nightjar/task-id": self.spec.task_id,
                    "nightjar/try": str(self.try_number),
                    LAST_TRY_ANNOTATION: str(self.max_tries),
                },
            },
            "spec": {
                "completionMode": "Indexed",
                "completions": self.spec.world_size,
                "parallelism": self.spec.world_size,
                "backoffLimitPerIndex": 0,
                "podReplacementPolicy": "Failed",
                "activeDeadlineSeconds": round(self.resources.max_hours * 3600),
                "ttlSecondsAfterFinished": self.settings.ttl_seconds,
                # Kueue admits a Job by resuming it; without a queue it starts immediately.
                "suspend": bool(queue),
                "podFailurePolicy": {
                    "rules": [
                        {"action": "FailJob", "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}]},
                        {
                            "action": "FailJob",
                            "onExitCodes": {"containerName": CONTAINER, "operator": "In", "values": ENDS_ALL},
                        },
                    ]
                },
                "template": self._pod(),
            },
        }

    def service(self, job_name: str, job_uid: str) -> Manifest:
        """Return the headless Service through which the ranks find pod 0; it is deleted with the Job."""
        return {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": self._owned_by(job_name, job_uid),
            "spec": {
                "clusterIP": "None",
                "publishNotReadyAddresses": True,
                "selector": {JOB_LABEL: job_name},
                "ports": [{"name": "rendezvous", "port": MASTER_PORT}],
            },
        }

    def secret(self, job_name: str, job_uid: str) -> Manifest:
        """Return the Secret that authenticates the ranks to each other.

        Pods wait for it, and it is deleted with the Job.
        """
        return {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": self._owned_by(job_name, job_uid),
            "type": "Opaque",
            "immutable": True,
            "stringData": {SECRET_KEY: secrets.token_hex(32)},
        }

    def _owned_by(self, job_name: str, job_uid: str) -> Manifest:
        owner = {"apiVersion": "batch/v1", "kind": "Job", "name": job_name, "uid": job_uid}
        return {
            "name": job_name,
            "namespace": self.settings.namespace,
            "labels": self.labels,
            "ownerReferences": [owner],
        }

    def _pod(self) -> Manifest:
        settings = self.settings
        gpu = settings.gpu_type(self.resources.gpu_type) if self._gpus else None
        spec: Manifest = {
            "restartPolicy": "Never",
            "subdomain": self.name,
            "automountServiceAccountToken": False,
            "enableServiceLinks": False,
            "securityContext": {
                "runAsNonRoot": True,
                "runAsUser": settings.user_id,
                "runAsGroup": settings.user_id,
                "fsGroup": settings.user_id,
                "seccompProfile": {"type": "RuntimeDefault"},
            },
            "containers": [self._container(gpu.resource if gpu else None)],
            "volumes": [
                {"name": "tmp", "emptyDir": {}},
                {"name": "shm", "emptyDir": {"medium": "Memory", "sizeLimit": _gib(self.resources.shared_memory_gib)}},
                *settings.volumes,
            ],
            "nodeSelector": {**settings.node_selector, **(gpu.node_selector if gpu else {})},
            "tolerations": [*settings.tolerations, *(gpu.tolerations if gpu else [])],
            "imagePullSecrets": [{"name": name} for name in settings.image_pull_secrets],
            "serviceAccountName": settings.service_account,
            "priorityClassName": self.resources.priority_class or settings.priority_class,
        }
        pod = {"metadata": {"labels": self.labels}, "spec": {name: value for name, value in spec.items() if value}}
        pod["spec"].update({name: spec[name] for name in ("automountServiceAccountToken", "enableServiceLinks")})
        if settings.pod_template_file is None:
            return pod
        below = read_template(settings.pod_template_file)
        fix = "write metadata and spec as of a pod; each container, volume and variable has a name"
        with reading("the pod template", where=settings.pod_template_file, fix=fix):
            result: Manifest = over(below, pod)
        return result

    @property
    def _gpus(self) -> int:
        return self.resources.gpus if self.spec.program in FITTING_PROGRAMS else 0

    def _container(self, gpu_resource: str | None) -> Manifest:
        amounts = {"cpu": str(self.resources.cpus), "memory": _gib(self.resources.memory_gib)}
        if gpu_resource:
            amounts[gpu_resource] = str(self._gpus)
        return {
            "name": CONTAINER,
            "image": self.settings.image,
            "command": ["python", "-m", f"nightjar_jobs.{self.spec.program}"],
            "args": ["--spec", self.spec_uri],
            "env": self._environment(),
            "envFrom": [{"secretRef": {"name": name}} for name in self.settings.env_from_secrets],
            "resources": {"requests": amounts, "limits": dict(amounts)},
            "securityContext": {
                "allowPrivilegeEscalation": False,
                "readOnlyRootFilesystem": True,
                "runAsNonRoot": True,
                "capabilities": {"drop": ["ALL"]},
            },
            "volumeMounts": [
                {"name": "tmp", "mountPath": "/tmp"},  # noqa: S108 - private to the pod, empty at its start
                {"name": "shm", "mountPath": "/dev/shm"},  # noqa: S108
                *self.settings.volume_mounts,
            ],
        }

    def _environment(self) -> list[Manifest]:
        """Return the launch contract and the deployment's addresses; ``env`` of the settings overrides both."""
        host = f"{self.name}-0.{self.name}"
        values = {
            **self.environ,
            "WORLD_SIZE": str(self.spec.world_size),
            "LOCAL_RANK": "0",
            "MASTER_ADDR": f"{host}.{self.settings.namespace}.svc",
            "MASTER_PORT": str(MASTER_PORT),
            "OMP_NUM_THREADS": str(self.spec.threads_per_rank),
            "PYTHONUNBUFFERED": "1",
            # The first rank waits for the last one as long as that may take to start.
            "NIGHTJAR_RENDEZVOUS_SECONDS": f"{self.settings.start_timeout_seconds:g}",
            **({"NIGHTJAR_CHECKPOINTS": self.settings.checkpoints} if self.settings.checkpoints else {}),
            **self.settings.env,
        }
        # JOB_COMPLETION_INDEX under the name of the launch contract
        rank = {"fieldRef": {"fieldPath": f"metadata.annotations['{RANK_ANNOTATION}']"}}
        secret = {"secretKeyRef": {"name": self.name, "key": SECRET_KEY}}
        return [
            {"name": "RANK", "valueFrom": rank},
            {"name": SECRET, "valueFrom": secret},
            *({"name": k, "value": v} for k, v in values.items()),
        ]


def _gib(amount: float) -> str:
    return f"{round(amount * 1024)}Mi"

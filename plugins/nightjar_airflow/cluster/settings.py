"""Settings of an environment's cluster: the JSON ``training`` in the extra of an Airflow connection."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, PositiveFloat, PositiveInt, ValidationError

from nightjar.protocol.errors import ConfigurationError

Json = dict[str, Any]


def _name(value: Any) -> Any:
    if isinstance(value, dict) and value.keys() == {"name"}:
        return value["name"]
    raise ValueError(
        'write each name as {"name": "..."}, since Airflow masks plain text below this key in every message'
    )


Name = Annotated[str, BeforeValidator(_name)]
"""Name of a Kubernetes object, written as in Kubernetes: ``{"name": "x"}``.

Airflow treats plain text below a key like ``env_from_secrets`` as a secret and masks it in every log, so that no
message could name a missing Secret; it does not mask a ``name``.
"""


def _volume(value: Any) -> Any:
    """Reject plain text below any key that contains ``secret``, e.g. ``secretName``."""
    if isinstance(value, dict):
        for key, item in value.items():
            if "secret" in str(key).lower() and not isinstance(item, dict):
                raise ValueError(
                    f"Airflow masks plain text below {key} in every message: name the Secret in a projected volume "
                    "(projected, sources, secret, name), or put the volume into pod_template_file"
                )
            _volume(item)
    for item in value if isinstance(value, list) else ():
        _volume(item)
    return value


Volume = Annotated[Json, BeforeValidator(_volume)]
"""A volume of a pod. It refers to a Secret by ``name``, for the same reason as :data:`Name`."""


class GpuType(BaseModel):
    """A GPU type of the cluster, under the name used in ``gpu_type`` of use cases.

    Attributes:
        resource: Extended resource.
        node_selector: Node labels.
        tolerations: Tolerations for the taints of such nodes.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    resource: str = "nvidia.com/gpu"
    node_selector: Json = {}
    tolerations: list[Json] = []


class ClusterSettings(BaseModel):
    """Settings of training pods in this environment.

    Attributes:
        namespace: Namespace of the Jobs.
        image: The training image (``jobs/Dockerfile``).
        image_pull_secrets: Secrets for the registry.
        service_account: Service account of the pods; None for the namespace's default.
        user_id: User and group id of the process; root (0) is rejected.
        env: Environment variables of the programs.
        env_from_secrets: Secrets whose keys become environment variables (the lake's credentials).
        volumes: Volumes of the pod, as in a pod spec; Secrets as ``projected`` volumes.
        volume_mounts: Mounts of the ranks, as in a container spec.
        checkpoints: URI or mounted path of checkpoints; programs get it as ``NIGHTJAR_CHECKPOINTS``.
        node_selector: Node labels for all pods.
        tolerations: Tolerations of all pods.
        gpu_types: Name to :class:`GpuType`; ``any`` is the default of use cases.
        priority_class: Default priority class of use cases.
        queue: Default Kueue queue of use cases.
        start_timeout_seconds: Time limit for all ranks to start: scheduling, images, volumes.
        ttl_seconds: Time for which an ended Job is kept for inspection.
        pod_template_file: YAML of a pod for everything without a setting; settings and the project's own values
            override it.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    namespace: str
    image: str
    image_pull_secrets: list[Name] = []
    service_account: Name | None = None
    user_id: PositiveInt = 10001
    env: dict[str, str] = {}
    env_from_secrets: list[Name] = []
    volumes: list[Volume] = []
    volume_mounts: list[Json] = []
    checkpoints: str | None = None
    node_selector: Json = {}
    tolerations: list[Json] = []
    gpu_types: dict[str, GpuType] = {}
    priority_class: str | None = None
    queue: str | None = None
    start_timeout_seconds: PositiveFloat = 1800.0
    ttl_seconds: PositiveInt = 86400
    pod_template_file: str | None = None

    @classmethod
    def from_extra(cls, extra: Mapping[str, Any], conn_id: str) -> ClusterSettings:
        """Read a connection's extra: ``namespace`` beside the keys of Airflow's own hook, the rest under ``training``.

        Raises:
            ConfigurationError: naming fields that are missing, unknown or invalid.
        """
        where = f"connection {conn_id}, extra.training"
        training = extra.get("training") or {}
        try:
            return cls.model_validate({"namespace": extra.get("namespace"), **training})
        except (ValidationError, TypeError) as error:
            problems = error.errors(include_input=False) if isinstance(error, ValidationError) else []
            messages = [f"{'.'.join(map(str, problem['loc']))}: {problem['msg']}" for problem in problems]
            raise ConfigurationError(
                f"the settings of the cluster are not right: {'; '.join(messages) or error}",
                where=where,
                how_many=max(1, len(messages)),
                fix="namespace and image are needed; docs/configuration.md lists the others",
            ) from error

    def gpu_type(self, name: str | None) -> GpuType:
        """Return the GPU type that a use case names.

        Raises:
            ConfigurationError: when this environment has no GPU type of that name.
        """
        if name is None:
            return self.gpu_types.get("any", GpuType())
        if name not in self.gpu_types:
            known = ", ".join(sorted(self.gpu_types)) or "none"
            raise ConfigurationError(
                f"this environment has no GPU type {name!r}",
                where="resources of the use case, gpu_type",
                fix=f"choose one of {known}, or add it to extra.training.gpu_types",
            )
        return self.gpu_types[name]

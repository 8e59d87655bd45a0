"""What the environment says of its cluster: the JSON ``training`` in the extra of an Airflow connection."""

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
"""The name of an object of the cluster, as Kubernetes has it: ``{"name": "x"}``.

Airflow takes plain text below a key like ``env_from_secrets`` for a secret and masks it in every log, so that no
message could say which Secret is missing; it does not mask a ``name``.
"""


def _volume(value: Any) -> Any:
    """Refuse plain text below a key with ``secret`` in it at any depth, e.g. ``secretName``."""
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
"""A volume of a pod; it names a Secret by ``name``, for the same reason as :data:`Name`."""


class GpuType(BaseModel):
    """Where a cluster keeps GPUs of one type, by the name that use cases ask for.

    Attributes:
        resource: Name of the extended resource.
        node_selector: Labels of the nodes.
        tolerations: What such nodes are tainted with.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    resource: str = "nvidia.com/gpu"
    node_selector: Json = {}
    tolerations: list[Json] = []


class ClusterSettings(BaseModel):
    """How training pods look in this environment.

    Attributes:
        namespace: Where Jobs are made.
        image: The training image (``jobs/Dockerfile``).
        image_pull_secrets: Names of Secrets for the registry.
        service_account: Of the pods; None takes the namespace's default.
        user_id: The user and group of the process; root (0) is refused.
        env: Environment variables of the programs.
        env_from_secrets: Names of Secrets whose keys become environment variables (the lake's credentials).
        volumes: Volumes of the pod, as in a pod's spec; those of Secrets as ``projected`` ones.
        volume_mounts: Where the ranks see them, as in a container's spec.
        checkpoints: Where checkpoints are kept, a URI or a mounted path; the program then reads it as
            ``NIGHTJAR_CHECKPOINTS``.
        node_selector: Labels of the nodes for all pods.
        tolerations: Tolerations of all pods.
        gpu_types: Name to :class:`GpuType`; ``any`` is what a use case gets that names none.
        priority_class: Priority class of use cases that name none.
        queue: Kueue queue of use cases that name none.
        start_timeout_seconds: How long all ranks together may take to start: room, images, volumes.
        ttl_seconds: How long a Job that has ended is kept for a look.
        pod_template_file: YAML of a pod, for all that has no setting; what is set here or by the project wins.
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
            ConfigurationError: naming the fields that are missing, unknown or of another type.
        """
        where = f"connection {conn_id}, extra.training"
        training = extra.get("training") or {}
        try:
            return cls.model_validate({"namespace": extra.get("namespace"), **training})
        except (ValidationError, TypeError) as error:
            problems = error.errors(include_input=False) if isinstance(error, ValidationError) else []
            told = [f"{'.'.join(map(str, problem['loc']))}: {problem['msg']}" for problem in problems]
            raise ConfigurationError(
                f"the settings of the cluster are not right: {'; '.join(told) or error}",
                where=where,
                how_many=max(1, len(told)),
                fix="namespace and image are needed; docs/configuration.md lists the others",
            ) from error

    def gpu_type(self, name: str | None) -> GpuType:
        """The GPU type that a use case asks for.

        Raises:
            ConfigurationError: when this environment has none of that name.
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

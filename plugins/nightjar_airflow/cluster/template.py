"""A pod template file under our own pod: what the project sets wins, what it does not set comes from the file."""

from __future__ import annotations

import os
from typing import Any

from nightjar.protocol.documents import PARSER_ERRORS
from nightjar.protocol.errors import ConfigurationError, first_line

# Lists whose items have a key; what has the same key is laid over, the rest is kept.
_KEYS = {
    "containers": "name",
    "initContainers": "name",
    "env": "name",
    "volumes": "name",
    "imagePullSecrets": "name",
    "volumeMounts": "mountPath",
}
_APPENDED = {"tolerations", "envFrom"}


def read_template(path: str) -> dict[str, Any]:
    """The pod of a ``pod_template_file``: its ``metadata`` and ``spec``.

    Raises:
        ConfigurationError: when it cannot be read, or is not a pod.
    """
    import yaml

    try:
        with open(os.path.expanduser(path), encoding="utf-8") as file:
            document = yaml.safe_load(file)
    except (OSError, yaml.YAMLError, *PARSER_ERRORS) as error:
        raise ConfigurationError(
            f"the pod template cannot be read ({first_line(error)})", where=path, fix="mend pod_template_file"
        ) from error
    if not isinstance(document, dict) or document.get("kind") != "Pod":
        raise ConfigurationError(
            "the pod template is not a pod", where=path, fix="write `apiVersion: v1`, `kind: Pod`, metadata and spec"
        )
    return {name: document[name] for name in ("metadata", "spec") if name in document}


def over(below: Any, above: Any, name: str = "") -> Any:
    """``above`` laid over ``below``: objects by key, lists of named things by name, other values replaced."""
    if isinstance(below, dict) and isinstance(above, dict):
        both = {key: over(below[key], value, key) for key, value in above.items() if key in below}
        return {**below, **above, **both}
    if name in _KEYS and isinstance(below, list):
        key = _KEYS[name]
        return list(over({item[key]: item for item in below}, {item[key]: item for item in above}).values())
    if name in _APPENDED and isinstance(below, list):
        return [*below, *above]
    return above

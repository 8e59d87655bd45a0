"""Merge a pod template file with our own pod, which overrides the template."""

from __future__ import annotations

import os
from typing import Any

from nightjar.protocol.documents import PARSER_ERRORS
from nightjar.protocol.errors import ConfigurationError, first_line

# Lists whose items have a key: items with the same key are merged, the others kept.
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
    """Return ``metadata`` and ``spec`` of a ``pod_template_file``.

    Raises:
        ConfigurationError: when it cannot be read, or is not a pod.
    """
    import yaml

    try:
        with open(os.path.expanduser(path), encoding="utf-8") as file:
            document = yaml.safe_load(file)
    except (OSError, yaml.YAMLError, *PARSER_ERRORS) as error:
        raise ConfigurationError(
            f"the pod template cannot be read ({first_line(error)})", where=path, fix="correct pod_template_file"
        ) from error
    if not isinstance(document, dict) or document.get("kind") != "Pod":
        raise ConfigurationError(
            "the pod template is not a pod", where=path, fix="write `apiVersion: v1`, `kind: Pod`, metadata and spec"
        )
    return {name: document[name] for name in ("metadata", "spec") if name in document}


def over(below: Any, above: Any, name: str = "") -> Any:
    """Merge ``above`` over ``below``: objects by key, lists of named items by name; other values are replaced."""
    if isinstance(below, dict) and isinstance(above, dict):
        both = {key: over(below[key], value, key) for key, value in above.items() if key in below}
        return {**below, **above, **both}
    if name in _KEYS and isinstance(below, list):
        key = _KEYS[name]
        return list(over({item[key]: item for item in below}, {item[key]: item for item in above}).values())
    if name in _APPENDED and isinstance(below, list):
        return [*below, *above]
    return above

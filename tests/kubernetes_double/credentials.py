"""Credentials: valid or expired tokens, and roles that are not loaded yet."""

from __future__ import annotations

import sys
from collections.abc import Callable
from time import monotonic

from kubernetes_double.store import Json, Refused

PLUGIN = """
import json, sys, urllib.request
token = urllib.request.urlopen(sys.argv[1]).read().decode()
status = {"token": token}
print(json.dumps({"apiVersion": "client.authentication.k8s.io/v1", "kind": "ExecCredential", "status": status}))
"""
USER = "system:serviceaccount:airflow:airflow-triggerer"


class Credentials:
    """Tokens and roles.

    Attributes:
        token: One that lasts; a test may change it.
        token_seconds: How long those last that a kubeconfig's plugin gets.
        issued: How many it has got.
        refused: While it says so, every token is refused.
        roles: ``cluster``, or ``namespace`` for a role that is bound in the namespace alone.
    """

    def __init__(self) -> None:
        self.token = "secret-token"
        self.token_seconds = 3600.0
        self.issued = 0
        self.refused: Callable[[], bool] = lambda: False
        self.roles = "cluster"
        self._ends: dict[str, float] = {}
        self._unloaded: dict[str, float] = {}

    def issue(self) -> str:
        """Return a token that expires."""
        self.issued += 1
        token = f"token-{self.issued}"
        self._ends[token] = monotonic() + self.token_seconds
        return token

    def expire(self) -> None:
        """End all tokens that a plugin has got."""
        self._ends.clear()

    def forbid(self, *resources: str, seconds: float = 3600.0) -> None:
        """The roles are not loaded yet, for some resources or, without any, for all."""
        self._unloaded.update(
            dict.fromkeys(resources or ("jobs", "pods", "services", "secrets", "events"), monotonic() + seconds)
        )

    def check(self, header: str, method: str, resource: str, namespace: str, namespaces: set[str]) -> None:
        """Authenticate and authorize one request.

        Raises:
            Refused: as the API server says it.
        """
        token = header.removeprefix("Bearer ")
        if self.refused() or (token != self.token and self._ends.get(token, 0.0) < monotonic()):
            raise Refused(401, "Unauthorized", "Unauthorized")
        no_role = self.roles == "namespace" and namespace not in namespaces
        if no_role or self._unloaded.get(resource, 0.0) > monotonic():
            verb = {"GET": "list", "POST": "create", "DELETE": "delete"}[method]
            group = "batch" if resource == "jobs" else ""
            what = f'cannot {verb} resource "{resource}" in API group "{group}" in the namespace "{namespace}"'
            raise Refused(403, "Forbidden", f'{resource} is forbidden: User "{USER}" {what}')

    def user(self, url: str, *, plugin: bool) -> Json:
        """The user of a kubeconfig: with a token, or with a program that gets one (EKS, GKE)."""
        if not plugin:
            return {"token": self.token}
        return {
            "exec": {
                "apiVersion": "client.authentication.k8s.io/v1",
                "command": sys.executable,
                "args": ["-I", "-S", "-c", PLUGIN, f"{url}/token"],
                "interactiveMode": "Never",
            }
        }

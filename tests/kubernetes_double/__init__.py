"""A Kubernetes cluster for tests: the real HTTP protocol, and pods whose commands are processes of this machine."""

from kubernetes_double.cluster import Cluster
from kubernetes_double.waiting import eventually

__all__ = ["Cluster", "eventually"]

"""A Kubernetes cluster double: the real HTTP protocol, with pods as processes of this machine."""

from kubernetes_double.cluster import Cluster
from kubernetes_double.waiting import eventually

__all__ = ["Cluster", "eventually"]

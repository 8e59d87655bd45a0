"""The cluster double: admission, Job controller, scheduler, and disturbances by tests."""

from __future__ import annotations

import itertools
import shutil
import signal
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import kubernetes_validate
from kubernetes_double.credentials import Credentials
from kubernetes_double.kubelet import INDEX, Kubelet
from kubernetes_double.server import Fault, Server
from kubernetes_double.store import Json, Refused, Store, now

VERSION = "1.34"
JOB_NAME = "batch.kubernetes.io/job-name"
NODE = "node-1"


class Cluster:
    """A cluster with one namespace ``ml``, one node, and the image ``nightjar-training:1``.

    Attributes:
        unschedulable: Ranks that no node fits, and what the scheduler says of them.
        pod_quota: How many pods the namespace may have.
        cut_off: Ranks whose name service does not know the others.
        grace_seconds: Between SIGTERM and SIGKILL.
        pull_errors: Image to what its registry says for now.
        sandbox_error: What keeps pods from having a network for now.
        refused_pods: What the API server says for now when the Job's controller makes a pod.
    """

    def __init__(self) -> None:
        self.store = Store()
        self.credentials = Credentials()
        self.namespaces = {"ml"}
        self.images = {"nightjar-training:1"}
        self.secrets: dict[str, dict[str, str]] = {}
        self.unschedulable: dict[int, str] = {}
        self.pod_quota = 100
        self.cut_off: set[int] = set()
        self.grace_seconds = 0.5
        self.pull_errors: dict[str, str] = {}
        self.sandbox_error = ""
        self.refused_pods = ""
        self._termination_requested_at: dict[str, float] = {}
        self.living: set[str] = set()
        self._marked: dict[str, dict[str, Any]] = {}
        self._suffixes = itertools.count(1)
        self._stopped = False
        self.kubelet = Kubelet(self)
        self.server = Server(self)
        self._controller = threading.Thread(target=self._control, daemon=True)
        self._controller.start()

    # What clients do

    def kube_config(self, *, plugin: bool = False) -> Json:
        return {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "test",
            "clusters": [{"name": "test", "cluster": {"server": self.server.url}}],
            "users": [{"name": "test", "user": self.credentials.user(self.server.url, plugin=plugin)}],
            "contexts": [{"name": "test", "context": {"cluster": "test", "user": "test", "namespace": "ml"}}],
        }

    def create(self, kind: str, namespace: str, thing: Json) -> Json:
        """Admit an object when its namespace exists and its manifest matches the OpenAPI schema."""
        if namespace not in self.namespaces:
            raise Refused(404, "NotFound", f'namespaces "{namespace}" not found')
        try:
            kubernetes_validate.validate(thing, VERSION, strict=True)
        except kubernetes_validate.ValidationError as error:
            raise Refused(422, "Invalid", str(error)) from error
        return self.store.create(kind, thing)

    def delete(self, kind: str, namespace: str, name: str) -> Json:
        found = self.store.read(kind, namespace, name)
        self.store.update(kind, namespace, name, self._mark_deleted)
        return found

    # What a test does

    def fault(self, *match: str, status: int, **more: Any) -> None:
        """Disturb the next request that matches; status 0 cuts its connection."""
        self.server.faults.append(Fault(match, status, **more))

    def jobs(self) -> list[Json]:
        return self.store.list("jobs")

    def pods(self, rank: int | None = None) -> list[Json]:
        return self.store.list("pods", lambda pod: rank in (None, _index(pod)))

    def running_processes(self) -> int:
        return sum(process.poll() is None for process in self.kubelet.processes.values())

    def evict(self, rank: int, message: str = "The node was low on resource: memory.") -> None:
        self._disrupt(rank, "TerminationByKubelet", message, "Evicted")

    def preempt(self, rank: int) -> None:
        self._disrupt(rank, "PreemptionByScheduler", "node-1: preempting to accommodate a higher priority pod", "")

    def lose_node(self, rank: int) -> None:
        """Let the node stop answering: its pod is marked failed, and its log is unavailable."""
        self._disrupt(rank, "DeletionByTaintManager", "Taint manager: deleting due to NoExecute taint", "")

    def out_of_memory(self, rank: int) -> None:
        (pod,) = self.pods(rank)
        self._marked[pod["metadata"]["name"]] = {"reason": "OOMKilled"}
        self.kubelet.end(pod)

    def vanish(self, rank: int) -> None:
        """Remove the pod's object without a final status, as after a forced deletion."""
        (pod,) = self.pods(rank)
        self.store.remove("pods", "ml", pod["metadata"]["name"])
        self.kubelet.end(pod)

    def delete_pod(self, rank: int) -> None:
        """Delete a pod like ``kubectl delete pod``."""
        (pod,) = self.pods(rank)
        self.delete("pods", "ml", pod["metadata"]["name"])

    def close(self) -> None:
        self._stopped = True
        self._controller.join()
        for pod in self.kubelet.processes:
            self.kubelet.end({"metadata": {"name": pod}})
        self.server.shutdown()
        self.server.server_close()
        shutil.rmtree(self.kubelet.folder)

    # What nodes report

    def resolve(self, host: str, pod: Json) -> str:
        """Resolve a pod's host name under the headless Service that selects it."""
        hostname, service, namespace, *_ = [*host.split("."), "", ""]
        if _index(pod) in self.cut_off:
            return "no-such-host.invalid"
        try:
            spec = self.store.read("services", namespace, service)["spec"]
        except Refused:
            return host
        named = [
            other
            for other in self.pods()
            if other["spec"].get("hostname") == hostname
            and other["spec"].get("subdomain") == service
            and other["metadata"]["labels"].items() >= spec["selector"].items()
        ]
        return str(named[0]["status"]["podIP"]) if named and spec["clusterIP"] == "None" else host

    def set_waiting(self, pod: Json, reason: str, message: str) -> None:
        self._set_state(pod, "Pending", {"waiting": {"reason": reason, "message": message}})

    def set_running(self, pod: Json) -> None:
        self.living.add(pod["metadata"]["name"])
        self._set_state(pod, "Running", {"running": {"startedAt": now()}})

    def set_terminated(self, pod: Json, code: int, reason: str = "", message: str = "") -> None:
        name = pod["metadata"]["name"]
        marked = self._marked.pop(name, {})
        end = {
            "exitCode": code,
            "reason": marked.get("reason") or reason or ("Error" if code else "Completed"),
            "message": message,
            "finishedAt": now(),
        }
        self._set_state(pod, "Failed" if code else "Succeeded", {"terminated": end}, **marked.get("status", {}))
        self.living.discard(name)
        with self.store.changed:
            self.store.changed.notify_all()

    def _set_state(self, pod: Json, phase: str, state: Json, **status: Any) -> None:
        image = pod["spec"]["containers"][0]["image"]

        def change(thing: Json) -> None:
            old = thing["status"].get("conditions", [])
            added = status.get("conditions", [])
            thing["status"].update(
                status,
                phase=phase,
                conditions=[*old, *added],
                containerStatuses=[{"name": "rank", "image": image, "state": state}],
            )

        self.store.update("pods", "ml", pod["metadata"]["name"], change)

    def _disrupt(self, rank: int, reason: str, message: str, pod_reason: str) -> None:
        (pod,) = self.pods(rank)
        condition = {"type": "DisruptionTarget", "status": "True", "reason": reason, "message": message}
        condition["lastTransitionTime"] = now()
        status = {"conditions": [condition], **({"reason": pod_reason} if pod_reason else {})}
        self._marked[pod["metadata"]["name"]] = {"status": status}
        self.kubelet.end(pod, signal.SIGKILL)

    # Controllers

    def _control(self) -> None:
        while not self._stopped:
            for job in self.jobs():
                self._reconcile(job)
            for pod in self.pods():
                if "deletionTimestamp" in pod["metadata"]:
                    self._sweep(pod)
                elif pod["status"]["phase"] == "Pending" and pod["metadata"]["name"] not in self.kubelet.processes:
                    self._schedule(pod)
            with self.store.changed:
                self.store.changed.wait(0.02)

    def _reconcile(self, job: Json) -> None:
        metadata, spec, name = job["metadata"], job["spec"], job["metadata"]["name"]
        pods = [pod for pod in self.pods() if pod["metadata"]["labels"].get(JOB_NAME) == name]
        if "deletionTimestamp" in metadata:
            return self._delete_job(job, pods)
        conditions = {c["type"] for c in job["status"]["conditions"]} if "status" in job else set()
        if conditions & {"Complete", "Failed"} or spec["suspend"]:
            return None
        if "status" not in job:
            self.store.update("jobs", "ml", name, lambda j: j.update(status={"startTime": now(), "conditions": []}))
            return None
        if "FailureTarget" in conditions:
            return self._finish_failed(job, pods)
        if reason := self._failure(job, pods):
            return self._condition(job, "FailureTarget", *reason)
        if len([pod for pod in pods if pod["status"]["phase"] == "Succeeded"]) == spec["completions"]:
            return self._condition(job, "Complete", "CompletionsReached", "Reached expected number of succeeded pods")
        made = int(metadata["annotations"].get("double/pods-made", 0))
        for index in range(made, spec["completions"]):
            self._make_pod(job, index)
        return None

    def _failure(self, job: Json, pods: list[Json]) -> tuple[str, str] | None:
        """Return why the Job fails now, by its policies."""
        spec = job["spec"]
        started = time.strptime(job["status"]["startTime"], "%Y-%m-%dT%H:%M:%SZ")
        if time.mktime(time.gmtime()) - time.mktime(started) > spec["activeDeadlineSeconds"]:
            return "DeadlineExceeded", "Job was active longer than specified deadline"
        for pod in pods:
            for number, rule in enumerate(spec["podFailurePolicy"]["rules"]):
                if pod["status"]["phase"] == "Failed" and _matches(rule, pod):
                    return "PodFailurePolicy", f"Pod {pod['metadata']['name']} failed matching FailJob rule at {number}"
        ended = [pod for pod in pods if pod["status"]["phase"] in ("Succeeded", "Failed")]
        made = int(job["metadata"]["annotations"].get("double/pods-made", 0))
        lost = made - len(pods)  # never made again: backoffLimitPerIndex is 0
        failed = lost or any(pod["status"]["phase"] == "Failed" for pod in ended)
        if failed and made == spec["completions"] == len(ended) + lost:
            return "FailedIndexes", "Job has failed indexes"
        return None

    def _finish_failed(self, job: Json, pods: list[Json]) -> None:
        running = [pod for pod in pods if pod["status"]["phase"] not in ("Succeeded", "Failed")]
        for pod in running:
            self.store.update("pods", "ml", pod["metadata"]["name"], self._mark_deleted)
        if not running:
            target = next(c for c in job["status"]["conditions"] if c["type"] == "FailureTarget")
            self._condition(job, "Failed", target["reason"], target["message"])

    def _condition(self, job: Json, kind: str, reason: str, message: str) -> None:
        condition = {"type": kind, "status": "True", "reason": reason, "message": message}
        name = job["metadata"]["name"]
        self.store.update("jobs", "ml", name, lambda j: j["status"]["conditions"].append(condition))

    def _delete_job(self, job: Json, pods: list[Json]) -> None:
        """Foreground deletion: first what it owns, then the Job."""
        uid, name = job["metadata"]["uid"], job["metadata"]["name"]
        for pod in pods:
            self.store.update("pods", "ml", pod["metadata"]["name"], self._mark_deleted)
            if pod["status"]["phase"] in ("Succeeded", "Failed"):
                self.store.remove("pods", "ml", pod["metadata"]["name"])
        for kind in ("services", "secrets"):
            for owned in self.store.list(kind, lambda one: one["metadata"]["ownerReferences"][0]["uid"] == uid):
                self.store.remove(kind, "ml", owned["metadata"]["name"])
        if not pods:
            self.store.remove("jobs", "ml", name)

    def _make_pod(self, job: Json, index: int) -> None:
        name = job["metadata"]["name"]
        refusal = self._refusal(job["spec"]["template"]["spec"])
        if refusal:
            self.event("Job", job, "FailedCreate", f"Error creating: {refusal}")
            return
        template = job["spec"]["template"]
        metadata = template["metadata"]
        pod = {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {
                "name": f"{name}-{index}-{next(self._suffixes):05d}",
                "namespace": "ml",
                "labels": {**metadata["labels"], JOB_NAME: name, INDEX: str(index)},
                "annotations": {**metadata.get("annotations", {}), INDEX: str(index)},
            },
            "spec": {**template["spec"], "hostname": f"{name}-{index}"},
            "status": {"phase": "Pending", "podIP": self.kubelet.address()},
        }
        self.store.create("pods", pod)
        made = {"double/pods-made": str(index + 1)}
        self.store.update("jobs", "ml", name, lambda j: j["metadata"]["annotations"].update(made))

    def _refusal(self, spec: Json) -> str:
        if self.refused_pods:
            return self.refused_pods
        forbidden = 'pods "x" is forbidden: '
        if problems := restricted_problems(spec):
            return f'{forbidden}violates PodSecurity "restricted:latest": {", ".join(problems)}'
        if len(self.pods()) >= self.pod_quota:
            used = f"requested: pods=1, used: pods={len(self.pods())}, limited: pods={self.pod_quota}"
            return f"{forbidden}exceeded quota: gpu-quota, {used}"
        return ""

    def event(self, kind: str, thing: Json, reason: str, message: str) -> None:
        metadata = thing["metadata"]
        if self.store.list(
            "events", lambda e: (e["involvedObject"]["uid"], e["message"]) == (metadata["uid"], message)
        ):
            return
        event = {
            "metadata": {"name": f"{metadata['name']}.{next(self._suffixes):x}", "namespace": "ml"},
            "involvedObject": {"kind": kind, "name": metadata["name"], "uid": metadata["uid"]},
            "type": "Warning",
            "reason": reason,
            "message": message,
            "lastTimestamp": now(),
        }
        self.store.create("events", event)

    def warn(self, kind: str, name: str, message: str) -> None:
        """An event of another controller, as Kueue's of the Workload for a Job."""
        self.event(kind, {"metadata": {"name": name, "uid": name}}, "Pending", message)

    def _schedule(self, pod: Json) -> None:
        owner = pod["metadata"]["labels"][JOB_NAME]
        if not self.store.list("services", lambda service: service["spec"]["selector"][JOB_NAME] == owner):
            return  # a real pod takes seconds to start; by then a Service that was made behind its Job is there
        said = self.unschedulable.get(_index(pod))
        if said:
            refused = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": said}
            change: Callable[[Json], None] = lambda p: p["status"].update(conditions=[refused])  # noqa: E731
            self.store.update("pods", "ml", pod["metadata"]["name"], change)
            return
        self._bind(pod)
        self.kubelet.sync(pod)

    def _bind(self, pod: Json) -> None:
        self.store.update("pods", "ml", pod["metadata"]["name"], lambda p: p["spec"].update(nodeName=NODE))

    def _sweep(self, pod: Json) -> None:
        """Graceful deletion: SIGTERM, SIGKILL after the grace, and the object goes when the process has ended."""
        name = pod["metadata"]["name"]
        if name not in self.living:
            self.store.remove("pods", "ml", name)
        elif name not in self._termination_requested_at:
            self._termination_requested_at[name] = time.monotonic()
            self.kubelet.tell_to_end(pod)
        elif time.monotonic() > self._termination_requested_at[name] + self.grace_seconds:
            self.kubelet.end(pod)

    def _mark_deleted(self, thing: Json) -> None:
        """As the API server does: the time at which the grace is over."""
        grace = round(self.grace_seconds)
        gone = datetime.now(UTC) + timedelta(seconds=grace)
        thing["metadata"].setdefault("deletionTimestamp", gone.strftime("%Y-%m-%dT%H:%M:%SZ"))
        thing["metadata"].setdefault("deletionGracePeriodSeconds", grace)


def restricted_problems(spec: Json) -> list[str]:
    """Return the violations of the "restricted" Pod Security Standard."""
    problems = []
    if spec.get("securityContext", {}).get("seccompProfile", {}).get("type") != "RuntimeDefault":
        problems.append("seccompProfile")
    if any(set(volume) & {"hostPath"} for volume in spec.get("volumes", [])):
        problems.append("restricted volume types")
    for container in [*spec["containers"], *spec.get("initContainers", [])]:
        context = container.get("securityContext", {})
        if context.get("allowPrivilegeEscalation") is not False:
            problems.append("allowPrivilegeEscalation != false")
        if context.get("capabilities", {}).get("drop") != ["ALL"]:
            problems.append("unrestricted capabilities")
        if context.get("runAsNonRoot") is not True or context.get("runAsUser") == 0:
            problems.append("runAsNonRoot != true")
    return problems


def _index(pod: Json) -> int:
    return int(pod["metadata"]["annotations"][INDEX])


def _matches(rule: Json, pod: Json) -> bool:
    if "onPodConditions" in rule:
        wanted = [(c["type"], c["status"]) for c in rule["onPodConditions"]]
        return any((c["type"], c["status"]) in wanted for c in pod["status"].get("conditions", []))
    code = pod["status"]["containerStatuses"][0]["state"]["terminated"]["exitCode"]
    return code in rule["onExitCodes"]["values"]

"""Nodes: a pod's command becomes a process group of this machine, its output the pod's log."""

from __future__ import annotations

import ipaddress
import itertools
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from kubernetes_double.store import Json, Refused

if TYPE_CHECKING:
    from kubernetes_double.cluster import Cluster

INDEX = "batch.kubernetes.io/job-completion-index"
CANNOT_START = 128
ROOT = Path(__file__).resolve().parents[2]
IMAGE_PATH = f"{ROOT}/include:{ROOT}/jobs"
"""Where the training image has its code: this checkout."""
ADDRESSES = ipaddress.IPv4Address("127.0.0.0") + (1 + os.getpid() % 0x7FFE << 9)
"""Pods of this process have addresses of their own: those of other tests may still listen at theirs."""
_address_numbers = itertools.count(1)


class Kubelet:
    """Starts, watches and ends the processes of pods."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self.folder = Path(tempfile.mkdtemp(prefix="kubelet-"))
        self.processes: dict[str, subprocess.Popen[bytes]] = {}
        self.environments: dict[str, dict[str, str]] = {}

    def address(self) -> str:
        """The next pod's own address, on this machine's loopback network."""
        return str(ADDRESSES + next(_address_numbers))

    def sync(self, pod: Json) -> None:
        """Retry the steps of a node until a pod runs: volumes, network, image, container."""
        cluster, image = self._cluster, pod["spec"]["containers"][0]["image"]
        secrets = [
            (volume["name"], source["secret"]["name"])
            for volume in pod["spec"].get("volumes", [])
            for source in volume.get("projected", {}).get("sources", [])
            if "secret" in source
        ]
        missing = [(volume, name) for volume, name in secrets if name not in cluster.secrets]
        pull_error = cluster.pull_errors.get(image, "" if image in cluster.images else f"{image}: not found")
        if missing:
            volume, name = missing[0]
            trouble = f'MountVolume.SetUp failed for volume "{volume}" : secret "{name}" not found'
            cluster.set_waiting(pod, "ContainerCreating", "")
            cluster.event("Pod", pod, "FailedMount", trouble)
        elif cluster.sandbox_error:
            sandbox = f"{int(time.time()):064x}"  # another one each time
            trouble = f'Failed to create pod sandbox: rpc error: sandbox "{sandbox}": {cluster.sandbox_error}'
            cluster.set_waiting(pod, "ContainerCreating", "")
            cluster.event("Pod", pod, "FailedCreatePodSandBox", trouble)
        elif pull_error:
            trouble = f'failed to pull and unpack image "{image}": failed to resolve reference "{image}": {pull_error}'
            cluster.event("Pod", pod, "Failed", f'Failed to pull image "{image}": {trouble}')
            cluster.set_waiting(pod, "ImagePullBackOff", f'Back-off pulling image "{image}": ErrImagePull: {trouble}')
        else:
            self.start(pod)

    def start(self, pod: Json) -> None:
        """Run the pod's one container; its end becomes the pod's status."""
        (container,) = pod["spec"]["containers"]
        name = pod["metadata"]["name"]
        try:
            environment = self._environment(pod, container)
        except Refused as refusal:
            self._cluster.set_waiting(pod, "CreateContainerConfigError", refusal.message)
            return
        try:
            process = subprocess.Popen(
                [*container["command"], *container.get("args", [])],
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        except OSError as error:
            self._cluster.set_terminated(pod, CANNOT_START, "StartError", str(error))
            return
        self.processes[name] = process
        self.environments[name] = environment
        self._cluster.set_running(pod)
        threading.Thread(target=self._watch, args=(pod, process), daemon=True).start()

    def tell_to_end(self, pod: Json) -> None:
        """SIGTERM to the container's process 1, for which the kernel drops what it does not handle."""
        process = self.processes.get(pod["metadata"]["name"])
        if process is not None and _handles(process.pid, signal.SIGTERM):
            process.terminate()

    def end(self, pod: Json, number: signal.Signals = signal.SIGKILL) -> None:
        """Signal the pod's processes."""
        process = self.processes.get(pod["metadata"]["name"])
        if process is not None:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, number)

    def log(self, pod: Json, query: dict[str, str]) -> Iterator[bytes | None]:
        """The log's lines, and with ``follow`` those to come until the container ends."""
        name = pod["metadata"]["name"]
        if name not in self.processes:
            raise Refused(400, "BadRequest", f'container "rank" in pod "{name}" is waiting to start: ContainerCreating')
        stamped = query.get("timestamps") == "true"
        since = ""
        if seconds := query.get("sinceSeconds"):
            since = _stamp(datetime.now(UTC) - timedelta(seconds=int(seconds)))
        tail = int(query.get("tailLines", sys.maxsize))
        return self._lines(name, tail, since, follow=query.get("follow") == "true", stamped=stamped)

    def _lines(self, name: str, tail: int, since: str, *, follow: bool, stamped: bool) -> Iterator[bytes | None]:
        path = self.folder / name
        seen = max(0, len(path.read_bytes().splitlines()) - tail)
        while True:
            over = not follow or name not in self._cluster.living
            for line in path.read_bytes().splitlines()[seen:]:
                seen += 1
                if line.split(b" ", 1)[0].decode() >= since:
                    yield (line if stamped else line.split(b" ", 1)[1]) + b"\n"
            if over:
                return
            yield None
            with self._cluster.store.changed:
                self._cluster.store.changed.wait(0.05)

    def _watch(self, pod: Json, process: subprocess.Popen[bytes]) -> None:
        name = pod["metadata"]["name"]
        assert process.stdout is not None
        with (self.folder / name).open("ab") as log:
            for line in process.stdout:
                log.write(_stamp(datetime.now(UTC)).encode() + b" " + line.rstrip(b"\n") + b"\n")
                log.flush()
        code = process.wait()
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        self._cluster.set_terminated(pod, code if code >= 0 else 128 - code)

    def _environment(self, pod: Json, container: Json) -> dict[str, str]:
        """The image's environment, then what the manifest says; nothing of the test's own."""
        scratch = self.folder / f"{pod['metadata']['name']}.tmp"
        scratch.mkdir(exist_ok=True)
        (self.folder / pod["metadata"]["name"]).touch()
        folder = str(Path(sys.executable).parent)
        environment = {"PATH": f"{folder}:/usr/bin:/bin", "HOME": str(scratch), "TMPDIR": str(scratch)}
        environment["PYTHONPATH"] = IMAGE_PATH
        for source in container.get("envFrom", []):
            name = source["secretRef"]["name"]
            if name not in self._cluster.secrets:
                raise Refused(404, "NotFound", f'secret "{name}" not found')
            environment.update(self._cluster.secrets[name])
        for variable in container["env"]:
            environment[variable["name"]] = variable.get("value") or self._field(pod, variable["valueFrom"])
        environment["JOB_COMPLETION_INDEX"] = pod["metadata"]["annotations"][INDEX]
        environment["MASTER_ADDR"] = self._cluster.resolve(environment["MASTER_ADDR"], pod)
        return environment

    def _field(self, pod: Json, source: Json) -> str:
        if "secretKeyRef" in source:
            wanted = source["secretKeyRef"]
            secret = self._cluster.store.read("secrets", pod["metadata"]["namespace"], wanted["name"])
            return str(secret["stringData"][wanted["key"]])
        path = source["fieldRef"]["fieldPath"]
        name = path.removeprefix("metadata.annotations['").removesuffix("']")
        return str(pod["metadata"]["annotations"][name])


def _stamp(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%S.%f") + "000Z"


def _handles(pid: int, number: signal.Signals) -> bool:
    """Whether a process has a handler for a signal."""
    with suppress(FileNotFoundError, ProcessLookupError):  # it has ended: before the file was opened, or since
        status = Path(f"/proc/{pid}/status").read_text()
        (caught,) = (line.split()[1] for line in status.splitlines() if line.startswith("SigCgt:"))
        return bool(int(caught, 16) & 1 << (number - 1))
    return False

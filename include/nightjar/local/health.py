"""Health checks of the local servers; they print and notify without Airflow's scheduler, which may be the cause."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from nightjar.protocol.errors import UnreachableError
from nightjar.settings.environment import Settings

CHECK_SECONDS = 10.0
ALERT_AFTER_SECONDS = 60.0
"""A server that is down for a shorter time is only printed: its supervisor restarts it within seconds."""
_NOTIFY_SECONDS = 120


class HealthWatch:
    """Notifies when a server stops answering or an Airflow component stops sending heartbeats, and when it recovers.

    Args:
        unhealthy: Returns the names of unhealthy components.
        say: Prints a line.
        notify: Sends a text to the configured channels.
        logs: Folder of the servers' logs.
    """

    def __init__(
        self, unhealthy: Callable[[], list[str]], say: Callable[[str], None], notify: Callable[[str], None], logs: Path
    ) -> None:
        self._unhealthy = unhealthy
        self._say = say
        self._notify = notify
        self._logs = logs
        self._since: dict[str, float] = {}
        self._notified: set[str] = set()
        self._next_check = 0.0

    def check(self) -> None:
        """Check the health, at most every ``CHECK_SECONDS``; call it often."""
        now = time.monotonic()
        if now < self._next_check:
            return
        self._next_check = now + CHECK_SECONDS
        unhealthy = set(self._unhealthy())
        for name in sorted(self._since.keys() - unhealthy):
            seconds = now - self._since.pop(name)
            if name in self._notified:
                self._notified.remove(name)
                self._say_and_notify(f"RESOLVED {name} is healthy again after {seconds:.0f} s")
        for name in sorted(unhealthy):
            seconds = now - self._since.setdefault(name, now)
            if seconds >= ALERT_AFTER_SECONDS and name not in self._notified:
                self._notified.add(name)
                self._say_and_notify(
                    f"NEW {name} is not healthy for {seconds:.0f} s: nights do not run, or are late | look: "
                    f"{self._logs} | do: read its log; end the run with Ctrl-C and start it again, which resumes "
                    "where it stopped"
                )

    def notify_end(self, error: UnreachableError) -> None:
        """Notify that the servers stop, and why."""
        self._notify(f"NEW the servers of this machine stop, and nights do not run: {error}")

    def _say_and_notify(self, text: str) -> None:
        self._say(text)
        self._notify(text)


def notify(environ: Mapping[str, str], text: str, log: Path) -> None:
    """Send ``text`` to the channels that the environment names, in a separate process; do nothing without channels.

    Airflow's connections are read from its database, as in a server.

    Args:
        environ: Environment of the servers.
        text: Text to send.
        log: Log file of the channels' answers.
    """
    settings = Settings.from_environment(environ)
    if not (settings.alert_webhook or settings.alert_slack_conn or settings.alert_email_to):
        return
    command = [sys.executable, "-m", "nightjar_airflow.notifiers.send", text]
    with log.open("ab") as output:
        subprocess.run(
            command,
            env={**environ, "_AIRFLOW_PROCESS_CONTEXT": "server"},
            stdout=output,
            stderr=output,
            stdin=subprocess.DEVNULL,
            timeout=_NOTIFY_SECONDS,
        )

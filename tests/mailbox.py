"""A local mail server (plain SMTP, RFC 5321) that stores received mails."""

from __future__ import annotations

import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from email import message_from_bytes, policy
from email.message import EmailMessage
from typing import cast


class _Handler(socketserver.StreamRequestHandler):
    """Handle one connection with one or more mails."""

    server: _Server

    def handle(self) -> None:
        self._say("220 mailbox")
        while line := self.rfile.readline().decode().strip():
            command = line.split()[0].upper()
            if command == "DATA":
                self._say("354 go on")
                self._take()
            elif command == "QUIT":
                self._say("221 bye")
                return
            elif command == "MAIL" and self.server.refuse > 0:
                self.server.refuse -= 1
                self._say("451 try again")
            else:
                self._say("250 mailbox")

    def _take(self) -> None:
        lines: list[bytes] = []
        while (line := self.rfile.readline()) != b".\r\n":
            lines.append(line[1:] if line.startswith(b"..") else line)
        self.server.mails.append(cast(EmailMessage, message_from_bytes(b"".join(lines), policy=policy.default)))
        self._say("250 taken")

    def _say(self, line: str) -> None:
        self.wfile.write(f"{line}\r\n".encode())


class _Server(socketserver.ThreadingTCPServer):
    daemon_threads = True
    mails: list[EmailMessage]
    refuse: int


@contextmanager
def mailbox(refuse: int = 0) -> Iterator[tuple[int, list[EmailMessage]]]:
    """Yield its port and the mails received so far; the first ``refuse`` get a 451."""
    with _Server(("127.0.0.1", 0), _Handler) as server:
        server.mails, server.refuse = [], refuse
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        yield server.server_address[1], server.mails
        server.shutdown()

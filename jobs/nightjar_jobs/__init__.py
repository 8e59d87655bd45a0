"""Training programs and plain programs: ``python -m nightjar_jobs.<program> --spec <uri>``, one process per rank."""

import os
import signal

if os.getpid() == 1:
    # Process 1 of a container ignores SIGTERM unless it handles it; programs install their handler after imports.
    signal.signal(signal.SIGTERM, lambda *_: os._exit(143))

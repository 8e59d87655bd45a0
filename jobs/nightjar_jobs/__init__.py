"""Training programs: ``python -m nightjar_jobs.<program> --spec <uri>`` under the launch contract."""

import os
import signal

if os.getpid() == 1:
    # Process 1 of a container ignores SIGTERM unless it handles it; the programs do so when all is imported.
    signal.signal(signal.SIGTERM, lambda *_: os._exit(143))

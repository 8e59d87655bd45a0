"""Send texts to the configured channels outside a task: ``python -m nightjar_airflow.notifiers.send TEXT …``."""

from __future__ import annotations

import logging
import sys

from nightjar_airflow.notifiers.channels import send_alerts

if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    sys.exit(0 if send_alerts(sys.argv[1:], {}) else 1)

"""``make features``: build one night's features without Airflow, and print a summary; nothing is written."""

from __future__ import annotations

import subprocess
from datetime import date
from pathlib import Path

from nightjar.declaration.use_case import UseCase
from nightjar.lake import delta
from nightjar.lake.lake import Lake
from nightjar.local import plan, server_environment
from nightjar.local.class_archive import archive_of
from nightjar.local.follow import RunFailedError
from nightjar.local.lake_tables import find_tables
from nightjar.local.paths import Paths
from nightjar.local.progress import Progress
from nightjar.protocol.errors import ConfigurationError


def preview(paths: Paths, use_case: UseCase, day: str) -> None:
    """Print the preview of the night of ``day``.

    Raises:
        ConfigurationError: when the day is no night of the sources, or the lake does not hold it.
        LakeError: when a raw table does not exist.
        RunFailedError: when the features cannot be built.
    """
    night, _ = plan.parse_nights(use_case, day, day)
    find_tables(paths.lake)
    lake = Lake(str(paths.lake))
    for source in use_case.data.sources:
        if source.name not in {use_case.data.features_from, use_case.data.labels_from}:
            continue
        if not delta.rows_by_night(lake.table(source.table).open(), [night])[night]:
            raise ConfigurationError(
                f"{source.table.name} has no rows for {night}",
                where=f"night {night} of {use_case.name}",
                fix=f"load it with `make night DATE={night} USE_CASE={use_case.name}`",
            )
    log = paths.logs / "features.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    environ = server_environment.tools(paths)
    command = _command(paths, use_case, night, Path(environ["JAVA_HOME"]))
    with Progress() as progress, log.open("w") as errors:
        progress.now(f"building the features of {use_case.name}, night {night}")
        done = subprocess.run(command, env=environ, stdout=subprocess.PIPE, stderr=errors, text=True)
    if done.returncode:
        raise RunFailedError(f"{done.stdout.strip() or 'Spark failed'}\nthe full output is in {log}")
    print(done.stdout.strip())


def _command(paths: Paths, use_case: UseCase, night: date, java_home: Path) -> list[str]:
    conf = server_environment.spark_conf(server_environment.cores(), archive_of(paths, java_home))
    return [
        *(str(paths.spark_home / "bin" / "spark-submit"), "--master", "local[*]"),
        *("--jars", ",".join(sorted(str(path) for path in paths.jars.glob("*.jar")))),
        *(part for key, value in conf.items() for part in ("--conf", f"{key}={value}")),
        str(paths.root / "spark" / "nightjar_spark" / "preview_features.py"),
        *("--lake", str(paths.lake), "--use-case", use_case.name, "--night", str(night)),
    ]

"""``python -m nightjar.local``: entry point of the Makefile.

Arguments come as environment variables, as make sets them.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys
from collections.abc import Callable, Mapping, Sequence
from datetime import date

from nightjar.declaration.use_case import UseCase
from nightjar.lake.lake import Lake
from nightjar.local import (
    bi,
    commands,
    contract_draft,
    data_dictionary,
    declaration_reference,
    features,
    plan,
    server_environment,
)
from nightjar.local.backfill import backfill
from nightjar.local.follow import RunFailedError
from nightjar.local.grafana import files as grafana_files
from nightjar.local.locks import lock
from nightjar.local.paths import Paths
from nightjar.local.scaffold import new_use_case
from nightjar.local.steps import SetupError
from nightjar.protocol.errors import ConfigurationError, NightjarError
from nightjar.settings.secrets import redacted

_PR_SET_PDEATHSIG = 1
_WRITE_SOURCES = {"data-dictionary", "declaration-reference", "grafana", "new-use-case", "lock", "jars"}
"""Commands that write files of the repository; others than the owner must be able to read these."""


def main(arguments: Sequence[str], environ: Mapping[str, str] = os.environ) -> int:
    """Run one command; return the exit status."""
    _end_with_make(environ)
    try:
        _dispatch(arguments, environ)
    except (NightjarError, RunFailedError, SetupError) as error:
        print(f"\n{redacted(str(error))}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


def _dispatch(arguments: Sequence[str], environ: Mapping[str, str]) -> None:
    paths = Paths.here()
    command, *rest = arguments or [""]
    if command == "env" and rest:
        os.execvpe(rest[0], rest, server_environment.tools(paths, environ))  # noqa: S606 - runs the requested command
    run = _dispatch_table(paths, environ)
    if command not in run:
        raise ConfigurationError(f"unknown command {command!r}", where="nightjar.local", fix=", ".join([*run, "env"]))
    if command not in _WRITE_SOURCES:
        os.umask(0o077)  # state is readable by its owner only
    run[command]()


def _dispatch_table(paths: Paths, environ: Mapping[str, str]) -> dict[str, Callable[[], object]]:
    def use_case() -> UseCase:
        return plan.chosen_use_case(environ.get("USE_CASE", ""))

    return {
        "up": lambda: commands.up(paths),
        "run": lambda: commands.run(paths, stay=environ.get("EXIT", "") in {"", "0"}),
        "night": lambda: commands.night(paths, use_case(), _given(environ, "DATE")),
        "features": lambda: features.preview(paths, use_case(), _given(environ, "DATE")),
        "backfill": lambda: backfill(paths, use_case(), _given(environ, "FROM"), _given(environ, "TO")),
        "train": lambda: commands.train(
            paths, use_case(), _nights(use_case(), environ), again=environ.get("FORCE", "") not in {"", "0"}
        ),
        "bi": lambda: bi.serve(paths),
        "maintain": lambda: commands.maintain(paths),
        "reproduce": lambda: commands.reproduce(paths, use_case(), _given(environ, "VERSION")),
        "query": lambda: commands.query(paths, environ.get("SQL", "")),
        "contract-draft": lambda: contract_draft.write_draft(
            Lake(str(paths.lake)), _given(environ, "TABLE"), paths.var / "contract_drafts"
        ),
        "data-dictionary": lambda: print(f"written: {data_dictionary.write(paths.root)}"),
        "declaration-reference": lambda: print(f"written: {declaration_reference.write(paths.root)}"),
        "grafana": lambda: print(f"written: {', '.join(map(str, grafana_files.write(paths.root)))}"),
        "new-use-case": lambda: new_use_case(paths.root, _given(environ, "NAME")),
        "lock": lambda: lock(paths, upgrade=environ.get("UPGRADE", "") not in {"", "0"}),
        "jars": lambda: commands.jars(paths),
    }


def _nights(use_case: UseCase, environ: Mapping[str, str]) -> tuple[date, date]:
    """Return the nights from ``FROM`` to ``TO``; the first history of the use case when neither is given."""
    if not (environ.get("FROM", "").strip() or environ.get("TO", "").strip()):
        return plan.first_history(use_case)
    return plan.parse_nights(use_case, _given(environ, "FROM"), _given(environ, "TO"))


def _given(environ: Mapping[str, str], name: str) -> str:
    value = environ.get(name, "").strip()
    if not value:
        raise ConfigurationError(f"{name} is not given", where="make", fix=f"say `{name}=…`, see `make help`")
    return value


def _end_with_make(environ: Mapping[str, str]) -> None:
    """Turn SIGTERM into a clean exit, and ask the kernel to send it when make dies."""
    signal.signal(signal.SIGTERM, _terminated)
    if "MAKELEVEL" in environ:
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)


def _terminated(number: int, _: object) -> None:
    raise SystemExit(128 + number)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

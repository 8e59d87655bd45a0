"""Publish the audited scores: one commit that replaces exactly the run's nights."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from nightjar.declaration.experiment import CHAMPION
from nightjar.declaration.use_case import UseCase, load_use_case
from nightjar.lake import ledger
from nightjar.lake.arrow_start import start_arrow_without_pandas
from nightjar.lake.commit import last_attempt
from nightjar.lake.lake import Lake
from nightjar.lake.results import earlier_result
from nightjar.protocol.documents import dump_values
from nightjar.protocol.errors import GateError
from nightjar.protocol.job import JobSpec
from nightjar.protocol.nights import Nights
from nightjar.protocol.results import PublishScoresResult, ValidateScoresResult
from nightjar.protocol.scores import Part
from nightjar.scoring import pins
from nightjar_jobs.runner import main

if TYPE_CHECKING:
    from deltalake import DeltaTable

log = logging.getLogger(__name__)


def run(spec: JobSpec) -> PublishScoresResult:
    """Commit exactly the files that passed `validate_scores`, then the shadow's files.

    A failure of the shadow is recorded and does not fail the task.

    A cleared task commits nothing if the table already has this attempt.

    Raises:
        GateError: when a later attempt has been published.
    """
    began = time.monotonic()
    use_case = load_use_case(spec.use_case)
    schema, nights = use_case.score_table, spec.nights(use_case.schedule.timezone)
    audited = earlier_result(spec, ValidateScoresResult)
    parts = audited.parts
    files = [file for part in parts.values() for file in part.files]
    attempt = audited.attempt
    table = Lake(spec.lake).table(schema)
    opened = table.ensure()
    previous = int(opened.version())
    if _is_published(opened, nights, attempt):
        version = previous
    else:
        version = table.commit(files, nights, run_id=spec.run_id, attempt=attempt)
    pins.write(
        spec,
        pins.Pins(
            versions=pins.versions_of({variant: part.scoring_model for variant, part in parts.items()}),
            features_version=audited.inputs[use_case.feature_table.name],
            feature_files=audited.feature_files,
            published=True,
        ),
    )
    log.info("%s@%d %s nights %s", schema.name, version, "now holds" if version > previous else "already holds", nights)
    outputs = {schema.name: version}
    shadow_error = _publish_shadow(spec, use_case, audited, outputs)
    _record(spec, use_case, audited, parts, outputs, shadow_error)
    return PublishScoresResult(
        rows_in=audited.rows_out,
        rows_out=sum(file.rows for file in files),
        inputs=audited.inputs,
        outputs=outputs,
        committed=version > previous,
        scoring_models={variant: part.scoring_model for variant, part in parts.items()},
        shadow_error=shadow_error,
        seconds={"publish": time.monotonic() - began},
    )


def _publish_shadow(spec: JobSpec, use_case: UseCase, audited: ValidateScoresResult, outputs: dict[str, int]) -> str:
    """Commit the shadow's scores; return why a declared shadow has none, else an empty string.

    An error does not fail the task. The log, the result and the ledger record it.
    """
    error = audited.shadow_error
    schema, nights = use_case.shadow_table, spec.nights(use_case.schedule.timezone)
    if audited.shadow_files and not error:
        try:
            table = Lake(spec.lake).table(schema)
            opened = table.ensure()
            outputs[schema.name] = (
                int(opened.version())
                if _is_published(opened, nights, audited.attempt)
                else table.commit(audited.shadow_files, nights, run_id=spec.run_id, attempt=audited.attempt)
            )
        except Exception as raised:
            error = f"{type(raised).__name__}: {raised}"
    if error:
        log.warning("no shadow scores of nights %s: %s", nights, error)
    return error


def _record(
    spec: JobSpec,
    use_case: UseCase,
    audited: ValidateScoresResult,
    parts: Mapping[str, Part],
    outputs: Mapping[str, int],
    shadow_error: str,
) -> None:
    """Record the publication in the ledger once for each attempt. A retry after a crash adds the missing event."""
    lake = Lake(spec.lake)
    earlier = ledger.read_details(lake, event="publish", dag_id=spec.dag_id, run_id=spec.run_id)
    if any(details.get("attempt") == audited.attempt for details in earlier):
        return
    scoring_model = parts[CHAMPION].scoring_model
    details = {
        "attempt": audited.attempt,
        "scoring_model": dump_values(scoring_model),
        **_split(use_case, parts),
        "shadow": dump_values(audited.shadow) if audited.shadow else None,
        **({"shadow_error": shadow_error} if shadow_error else {}),
    }
    event = ledger.Event.of(
        spec,
        "publish",
        reason=f"nights {spec.nights(use_case.schedule.timezone)}: {audited.rows_out} rows",
        model_version=scoring_model.version,
        table_versions={**audited.inputs, **outputs},
        details=details,
    )
    ledger.record(lake, event)


def _split(use_case: UseCase, parts: Mapping[str, Part]) -> dict[str, Any]:
    """Return the scoring model and rows of each variant; empty without an experiment."""
    experiment = use_case.scoring.experiment
    if experiment is None or len(parts) == 1:
        return {}
    variants = {variant: {**dump_values(part.scoring_model), "rows": part.rows_out} for variant, part in parts.items()}
    return {"experiment": experiment.name, "variants": variants}


def _is_published(table: DeltaTable, nights: Nights, attempt: int) -> bool:
    """Whether the table has this attempt's scores of the nights.

    Files that a later attempt has replaced must not be committed again: readers of Delta disagree about a path that is
    added after it was removed.

    Raises:
        GateError: when a later attempt has been published.
    """
    attempts = [last_attempt(table, night) for night in nights]
    later = sum(last is not None and last > attempt for last in attempts)
    if later:
        raise GateError(
            "a later attempt has published these nights",
            where=table.table_uri,
            how_many=later,
            fix="leave the published scores, or clear `score` of this run to score again",
        )
    return all(last == attempt for last in attempts)


if __name__ == "__main__":
    start_arrow_without_pandas()
    main(run)

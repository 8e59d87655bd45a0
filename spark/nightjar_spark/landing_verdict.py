"""Check landed rows against their contract: annotate and count rows, judge nights, run Great Expectations."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date

from pyspark.sql import DataFrame, SparkSession

from nightjar.declaration.data import Source
from nightjar.declaration.rules import Rule
from nightjar.declaration.use_case import UseCase
from nightjar.lake.lake import Lake
from nightjar.monitoring.data_quality.table import read_figures
from nightjar.protocol.job import JobSpec
from nightjar.protocol.names import path_segment
from nightjar.protocol.nights import Nights
from nightjar.validation.data_docs import docs_uri, local_site
from nightjar.validation.expectations import TableCheck, validate
from nightjar.validation.figures import Figures
from nightjar.validation.judged import TABLE, Judged, NightFigures, broken_rows, unknown_column
from nightjar.validation.landing import LandedFile
from nightjar.validation.night_count import NightCount
from nightjar.validation.nights import judge, not_yet
from nightjar.validation.table_rules import source_rules
from nightjar.validation.tolerance import stop_if_refused
from nightjar_spark.contracts import annotate, count_by_night, is_rejected
from nightjar_spark.figures import figures_by_night
from nightjar_spark.landed import read_landed

log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Annotated:
    """A source's cached rows with the rules that they break, and their counts and figures by night."""

    source: Source
    rules: Sequence[Rule]
    rows: DataFrame
    counts: Sequence[NightCount]
    figures: Mapping[date, NightFigures]

    @property
    def accepted(self) -> int:
        """Number of accepted rows, over all nights."""
        return sum(count.accepted for count in self.counts)

    @property
    def rejected(self) -> int:
        """Number of rejected rows, over all nights."""
        return sum(count.rejected for count in self.counts)

    @property
    def broken(self) -> dict[str, int]:
        """Number of rows that break each rule, without rules that no row breaks."""
        names = [rule.name for rule in self.rules]
        totals = {name: sum(count.broken.get(name, 0) for count in self.counts) for name in names}
        return {name: total for name, total in totals.items() if total}


def annotate_source(spark: SparkSession, source: Source, landed: Sequence[LandedFile]) -> Annotated:
    """Read a source's files into the cache; count rows by night and compute figures of the accepted rows."""
    rules = source_rules(source)
    own_files = [file for file in landed if file.source == source.name]
    rows = annotate(read_landed(spark, source, own_files), source.table, rules).cache()
    counts = count_by_night(rows, rules)
    figures: dict[date, dict[str, Figures]] = {
        count.night: {TABLE: Figures(rows=count.rows, nulls=count.rejected)} for count in counts
    }
    accepted = figures_by_night(rows.where(~is_rejected(rules)), source.file_columns, source.table.key)
    for night, columns in accepted.items():
        figures[night] |= columns
    item = Annotated(source=source, rules=rules, rows=rows, counts=counts, figures=figures)
    log.info("%s: %d rows accepted, %d rejected %s", source.file, item.accepted, item.rejected, item.broken or "")
    return item


def judge_landed(
    annotated: Sequence[Annotated], lake: Lake, use_case: UseCase, nights: Nights, landed: Sequence[LandedFile]
) -> list[Judged]:
    """Judge each night against earlier nights; return all checks of rules and anomalies, passed or not."""
    recorded = read_figures(lake, use_case.name, nights.first)
    judged: list[Judged] = []
    for item in annotated:
        history = {**recorded.get(item.source.table.name, {}), **item.figures}
        if waiting := not_yet(item.source, len(history) - len(item.figures)):
            log.info("%s: %s not judged yet: too few nights", item.source.file, ", ".join(r.name for r in waiting))
        for night, figures in item.figures.items():
            earlier = {day: history[day] for day in sorted(history) if day < night}
            judged += judge(item.source, night, figures, earlier, timezone=use_case.schedule.timezone)
        warned = [rule for rule in item.rules if rule.severity == "warn"]
        judged += [
            broken_rows(item.source, count.night, rule, count.broken[rule.name])
            for count in item.counts
            for rule in warned
            if rule.name in count.broken
        ]
        own_files = (file for file in landed if file.source == item.source.name)
        judged += [unknown_column(item.source, file.night, name) for file in own_files for name in file.unknown]
    for check in judged:
        if not check.kept:
            log.warning("night %s: %s", check.night, check.what)
    return judged


def validate_landed(
    annotated: Sequence[Annotated], judged: Sequence[Judged], spec: JobSpec, use_case: UseCase, nights: Nights
) -> str:
    """Validate all landed rows with Great Expectations; return the first page of the Data Docs.

    Raises:
        ContractError: when a source breaks its contract.
    """
    checks = [
        TableCheck(
            table=item.source.table.name,
            rules=item.rules,
            counts=item.counts,
            nights=[count.night for count in item.counts] if item.source.snapshot else list(nights),
            max_rejected_share=item.source.max_rejected_share,
            judged=[check for check in judged if check.table == item.source.table.name],
        )
        for item in annotated
        if item.counts or not item.source.snapshot
    ]
    docs = docs_uri(Lake(spec.lake), use_case.name)
    with local_site(docs) as site:
        verdict = validate(checks, site=site, run_name=f"{path_segment(spec.run_id)}~landed")
    stop_if_refused(verdict, use_case.data.sources, docs=docs)
    return f"{docs}/{verdict.tables[0].page}"

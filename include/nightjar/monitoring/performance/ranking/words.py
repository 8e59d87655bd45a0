"""Words and sentences about the performance of rankings. Plain text; the template escapes it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from nightjar.declaration.ranking import Ranking
from nightjar.monitoring.performance.metric_words import MetricWords
from nightjar.monitoring.reporting.formatting import share

if TYPE_CHECKING:
    from nightjar.monitoring.performance.rows import PerformanceRow


def of_metrics(declared: Ranking) -> dict[str, MetricWords]:
    """Return the words of each metric."""
    first = f"the first {declared.k}"
    return {
        "ndcg": MetricWords(
            name=f"nDCG at {declared.k}",
            phrase=f"nDCG at {declared.k}",
            meaning="gain of the order relative to the best one; higher is better",
        ),
        "map": MetricWords(
            name="Average precision", phrase="average precision", meaning=f"of {first} items; higher is better"
        ),
        "recall": MetricWords(
            name="Recall",
            phrase="recall",
            meaning=f"share of relevant items among {first}; higher is better",
            form="share",
        ),
        "hit_rate": MetricWords(
            name="Groups with a hit",
            phrase="share of groups with a hit",
            meaning=f"groups with a relevant item among {first}; higher is better",
            form="share",
        ),
        "catalogue_coverage": MetricWords(
            name="Catalogue coverage",
            phrase="catalogue coverage",
            meaning=f"share of all items that are among {first} of a group at least once",
            form="share",
            is_key=False,
        ),
        "novelty": MetricWords(
            name="Novelty",
            phrase="novelty in bits",
            meaning=f"how rare the items among {first} are among all rows: mean of \u2212log2 of their shares",
            form="number",
            unit="bits",
            is_key=False,
        ),
        "relevant_share": MetricWords(
            name="Relevant items", phrase="share of relevant items", meaning="observed", form="share", is_level=True
        ),
    }


def changes(figures: Mapping[str, PerformanceRow], declared: Ranking) -> list[str]:
    """Describe how many items were relevant, and how many of them came first."""
    level, recall = figures.get("relevant_share"), figures.get("recall")
    sentences = []
    if level is not None and level.value is not None:
        earlier = f"; it was {share(level.baseline)} earlier" if level.baseline is not None else ""
        sentences.append(f"{share(level.value)} of the items with a label are relevant{earlier}.")
    if recall is not None and recall.value is not None:
        sentences.append(
            f"The first {declared.k} of each group hold {share(recall.value)} of its relevant items, mean over groups."
        )
    return sentences

"""Profiles of labels from their counts by group, for problem types whose groups are all labels."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from nightjar.declaration.problem import Binary, Multiclass, Problem
from nightjar.monitoring.profiles.profile import ColumnProfile
from nightjar.monitoring.profiles.summarize import count_categories, count_labels


def profile_counts(problem: Problem, rows: int, labels: Mapping[str, int]) -> ColumnProfile | None:
    """Return the profile of ``rows`` labels; None when the counts by group do not tell the labels.

    Args:
        problem: The problem type.
        rows: Number of labels.
        labels: Number of labels by group; see :attr:`nightjar.problems.problem_type.ProblemType.label_counts`.
    """
    profile = _PROFILES.get(problem.kind)
    return profile(problem, rows, labels) if profile else None


def _of_binary(problem: Binary, rows: int, labels: Mapping[str, int]) -> ColumnProfile:
    return count_labels(rows, labels["positives"])


def _of_classes(problem: Multiclass, rows: int, labels: Mapping[str, int]) -> ColumnProfile:
    counts: dict[str | None, int] = dict(zip(problem.classes, labels.values(), strict=True))
    return count_categories(counts, problem.classes)


_PROFILES: Mapping[str, Callable[[Any, int, Mapping[str, int]], ColumnProfile]] = {
    Binary.kind: _of_binary,
    Multiclass.kind: _of_classes,
}

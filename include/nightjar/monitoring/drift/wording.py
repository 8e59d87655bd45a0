"""Sentences and names of the drift report. Plain text; the template escapes it."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np

from nightjar.monitoring.drift.comparison import ColumnDrift, NightDrift
from nightjar.monitoring.drift.measures import bin_counts, bin_divergence
from nightjar.monitoring.profiles.profile import MAX_UNLISTED, ColumnProfile
from nightjar.monitoring.reporting.formatting import number, probability, psi, rounded, share

MISSING = "missing"
OTHERS = "all others"
ANY = "any value"


def bin_names(profile: ColumnProfile) -> list[str]:
    """Name every bin of :func:`nightjar.monitoring.drift.measures.bin_counts`, the missing bin last."""
    if profile.kind == "categorical":
        return [*profile.categories, OTHERS, MISSING]
    edges = profile.edges
    if not edges:
        return [ANY, MISSING]
    scale = (edges[-1] - edges[0]) / 10
    inner = [_interval(low, high, scale) for low, high in pairwise(edges)]
    return [f"below {rounded(edges[0], scale)}", *inner, f"above {rounded(edges[-1], scale)}", MISSING]


def _interval(low: float, high: float, scale: float) -> str:
    """Name a bin by its only value, or else by its bounds."""
    whole_steps = low.is_integer() and high - low == 1 and abs(low) < 1e6
    if whole_steps or high <= np.nextafter(low, np.inf):
        return rounded(low, scale)
    return f"{rounded(low, scale)} to {rounded(high, scale)}"


def means(column: ColumnDrift) -> tuple[str, str]:
    """Return the mean in training and in the night; a dash for None."""
    spread = math.sqrt(column.reference.variance or 0.0)
    reference, night = (
        "\u2013" if mean is None else rounded(mean, spread) for mean in (column.reference.mean, column.night.mean)
    )
    return reference, night


def mean_distance(column: ColumnDrift) -> str:
    """Return the mean distance that values moved, in the column's unit; a dash when unknown."""
    if column.wasserstein is None:
        return "\u2013"
    return rounded(column.wasserstein, math.sqrt(column.reference.variance or 0.0))


def headline(drift: NightDrift) -> str:
    """Explain the verdict in one sentence, without naming it."""
    moved, watched = len(drift.drifted), len(drift.watched)
    tolerated = int(drift.thresholds.max_drifted_share * watched)
    columns = "column" if watched == 1 else "columns"
    if not moved:
        return f"none of {watched} monitored {columns} moved."
    if drift.verdict == "stable":
        return f"{moved} of {watched} monitored {columns} moved; up to {tolerated} are tolerated."
    return f"{moved} of {watched} monitored {columns} moved, more than the {tolerated} tolerated."


def contrast(drift: NightDrift) -> str:
    """Explain why the largest change counts as steady although its PSI exceeds the limit; empty otherwise."""
    largest, limits = drift.watched[0], drift.thresholds
    if largest.verdict == "drift" or largest.psi <= limits.max_psi:
        return ""
    sentence = (
        f"{largest.name} changed by a PSI of {psi(largest.psi)} and counts as steady: {_nights_differ(largest)}, so "
        f"that such a change may be chance (q {probability(largest.q)}, not below {limits.max_q:g})"
    )
    if not drift.drifted:
        return f"{sentence}."
    smallest = drift.drifted[-1]
    return (
        f"{sentence}; {smallest.name} moved with {psi(smallest.psi)}: {_nights_differ(smallest)} "
        f"(q {probability(smallest.q)})."
    )


def _nights_differ(column: ColumnDrift) -> str:
    """Compare how much training's own nights differ in the column with what chance among rows would give."""
    times = column.design_effect
    if times < 1.5:
        return "training’s nights differ in it by no more than chance among rows"
    return f"training’s nights differ in it {number(times)} times as much as chance among rows would make them"


def strength(psi: float, max_psi: float) -> str:
    """Return the meaning of a PSI; below 0.1 no action is usual (Siddiqi 2006)."""
    if psi > max_psi:
        return "a large change"
    return "some change" if psi > min(0.1, max_psi) else "little change"


def changes(column: ColumnDrift) -> list[str]:
    """Describe what changed in a column: up to four sentences, the largest change first."""
    sentences = [_largest_change(column)]
    reference, night = column.reference, column.night
    if reference.mean is not None and night.mean is not None:
        reference_mean, night_mean = means(column)
        spread = math.sqrt(reference.variance or 0.0)
        distance = abs(night.mean - reference.mean) / spread if spread > 0 else 0.0
        away = f", {distance:.1f} standard deviations away" if distance >= 0.05 else ""
        sentences.append(f"The mean is {night_mean}; in training it was {reference_mean}{away}.")
    if abs(column.null_delta) >= 0.01 and not sentences[0].startswith("Missing"):
        sentences.append(
            f"Values are missing in {share(night.null_share)} of the rows; in training in "
            f"{share(reference.null_share)}."
        )
    if column.new_categories:
        names = ", ".join(column.new_categories) + (" and more" if len(column.new_categories) == MAX_UNLISTED else "")
        sentences.append(f"Never seen in training: {names} ({share(night.others / night.rows)} of the rows).")
    return sentences


def _largest_change(column: ColumnDrift) -> str:
    """Describe the bin that contributes most to the PSI."""
    reference, night = bin_counts(column.reference), bin_counts(column.night)
    # A bin that is empty in both has a share only by the pseudo counts of the PSI.
    index = int(np.argmax(np.where(reference + night > 0, bin_divergence(reference, night), -np.inf)))
    subject = _subject(column, bin_names(column.reference)[index])
    of_night = share(night[index] / night.sum()) if night[index] else "none"
    of_training = share(reference[index] / reference.sum()) if reference[index] else "none"
    return f"{subject} {of_night} of the night, {of_training} of training."


def _subject(column: ColumnDrift, name: str) -> str:
    """Return a bin's name as subject, with its verb."""
    if name == MISSING:
        return "Missing values are"
    if name == OTHERS:
        return "New categories are" if column.reference.others == 0 else "Rarer categories are"
    if column.reference.kind == "categorical":
        return f"\u201c{name}\u201d is"
    if " " in name:  # "below 3", "3 to 5", "above 5", "any value"
        return "All values are" if name == ANY else f"Values {name} are"
    return f"The value {name} is"

"""The report in words: figures, bins and changes as a person would say them. Plain text; escaping is the template's."""

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
    """A name for every bin of :func:`nightjar.monitoring.drift.comparison.bin_counts`, the missing bin last."""
    if profile.kind == "categorical":
        return [*profile.categories, OTHERS, MISSING]
    edges = profile.edges
    if not edges:
        return [ANY, MISSING]
    scale = (edges[-1] - edges[0]) / 10
    inner = [_interval(low, high, scale) for low, high in pairwise(edges)]
    return [f"below {rounded(edges[0], scale)}", *inner, f"above {rounded(edges[-1], scale)}", MISSING]


def _interval(low: float, high: float, scale: float) -> str:
    """One value, where the bin holds no other, else its bounds."""
    whole_steps = low.is_integer() and high - low == 1 and abs(low) < 1e6
    if whole_steps or high <= np.nextafter(low, np.inf):
        return rounded(low, scale)
    return f"{rounded(low, scale)} to {rounded(high, scale)}"


def means(column: ColumnDrift) -> tuple[str, str]:
    """The mean in training and in the night; dashes where there is none."""
    spread = math.sqrt(column.reference.variance or 0.0)
    then, now = (
        "\u2013" if mean is None else rounded(mean, spread) for mean in (column.reference.mean, column.night.mean)
    )
    return then, now


def moved_by(column: ColumnDrift) -> str:
    """The mean distance that values moved, in the column's own unit; a dash where it is not known."""
    if column.wasserstein is None:
        return "\u2013"
    return rounded(column.wasserstein, math.sqrt(column.reference.variance or 0.0))


def headline(drift: NightDrift) -> str:
    """The verdict in one sentence, without the word itself."""
    moved, watched = len(drift.drifted), len(drift.watched)
    tolerated = int(drift.thresholds.max_drifted_share * watched)
    columns = "column" if watched == 1 else "columns"
    if not moved:
        return f"none of {watched} watched {columns} moved."
    if drift.verdict == "stable":
        return f"{moved} of {watched} watched {columns} moved; up to {tolerated} are tolerated."
    return f"{moved} of {watched} watched {columns} moved, more than the {tolerated} tolerated."


def contrast(drift: NightDrift) -> str:
    """Why the largest change counts as steady where its PSI is above the limit; empty where that is not so."""
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
    """How much training's own nights differ in the column, beside what chance among rows would make of them."""
    times = column.design_effect
    if times < 1.5:
        return "training’s nights differ in it by no more than chance among rows"
    return f"training’s nights differ in it {number(times)} times as much as chance among rows would make them"


def strength(psi: float, max_psi: float) -> str:
    """What a PSI means; 0.1 is the usual mark below which nobody acts (Siddiqi 2006)."""
    if psi > max_psi:
        return "a large change"
    return "some change" if psi > min(0.1, max_psi) else "much the same"


def changes(column: ColumnDrift) -> list[str]:
    """Up to four sentences on what changed in a column, the weightiest first."""
    sentences = [_weightiest_bin(column)]
    then, now = column.reference, column.night
    if then.mean is not None and now.mean is not None:
        mean_then, mean_now = means(column)
        spread = math.sqrt(then.variance or 0.0)
        distance = abs(now.mean - then.mean) / spread if spread > 0 else 0.0
        away = f", {distance:.1f} standard deviations away" if distance >= 0.05 else ""
        sentences.append(f"The mean is {mean_now}; in training it was {mean_then}{away}.")
    if abs(column.null_delta) >= 0.01 and not sentences[0].startswith("Missing"):
        sentences.append(
            f"Values are missing in {share(now.null_share)} of the rows; in training in {share(then.null_share)}."
        )
    if column.new_categories:
        names = ", ".join(column.new_categories) + (" and more" if len(column.new_categories) == MAX_UNLISTED else "")
        sentences.append(f"Never seen in training: {names} ({share(now.others / now.rows)} of the rows).")
    return sentences


def _weightiest_bin(column: ColumnDrift) -> str:
    then, now = bin_counts(column.reference), bin_counts(column.night)
    # the PSI's pseudo counts give a bin without a row on either side a share; there is nothing to say of it
    index = int(np.argmax(np.where(then + now > 0, bin_divergence(then, now), -np.inf)))
    subject = _subject(column, bin_names(column.reference)[index])
    of_night = share(now[index] / now.sum()) if now[index] else "none"
    of_training = share(then[index] / then.sum()) if then[index] else "none"
    return f"{subject} {of_night} of the night, {of_training} of training."


def _subject(column: ColumnDrift, name: str) -> str:
    """A bin as the subject of a sentence about its share, with its verb."""
    if name == MISSING:
        return "Missing values are"
    if name == OTHERS:
        return "New categories are" if column.reference.others == 0 else "Rarer categories are"
    if column.reference.kind == "categorical":
        return f"\u201c{name}\u201d is"
    if " " in name:  # "below 3", "3 to 5", "above 5", "any value"
        return "All values are" if name == ANY else f"Values {name} are"
    return f"The value {name} is"

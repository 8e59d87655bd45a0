from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from nightjar.declaration.monitoring import Drift
from nightjar.monitoring.drift import wording as words
from nightjar.monitoring.drift.comparison import compare
from nightjar.monitoring.profiles.profile import NightVariation, Profile
from nightjar.monitoring.profiles.summarize import count_categories, count_numeric
from nightjar.monitoring.reporting import formatting


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0, "0"),
        (1234.5, "1\u202f234"),
        (-0.5, "\u22120.5"),
        (0.03333, "0.0333"),
        (2e10, "2.00e+10"),
        (1e-9, "1.00e\u221209"),
    ],
)
def test_numbers(value: float, text: str) -> None:
    assert formatting.number(value) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.0, "0"), (0.0004, "<0.1"), (0.0999, "10"), (0.051, "5.1"), (0.9996, ">99.9"), (1.0, "100")],
)
def test_shares(value: float, text: str) -> None:
    assert formatting.share(value) == f"{text}\u202f%"


def test_figures_are_rounded_to_what_matters() -> None:
    assert formatting.rounded(-0.000987, scale=4.0) == "0"
    assert formatting.rounded(1118.4, scale=700.0) == "1\u202f118"
    assert formatting.rounded(0.31234, scale=0.05) == "0.312"
    assert formatting.rounded(3.0, scale=0.0) == "3"


def test_p_values() -> None:
    assert [formatting.probability(p) for p in (None, 1e-9, 0.0123)] == ["\u2013", "<0.0001", "0.012"]


def test_bins_have_names() -> None:
    numeric = count_numeric([], (0.0, 5e-324, 2.5, 7.0))
    assert words.bin_names(numeric) == ["below 0", "0", "0 to 2.5", "2.5 to 7", "above 7", "missing"]
    whole = count_numeric([], (1.0, 2.0, 3.0))
    assert words.bin_names(whole)[1:3] == ["1", "2"]
    assert words.bin_names(count_categories({}, ("a",))) == ["a", "all others", "missing"]
    assert words.bin_names(count_numeric([], ())) == ["any value", "missing"]


def test_headlines(compared: Any) -> None:
    assert words.headline(compared.night()) == "none of 5 monitored columns moved."
    assert words.headline(compared.night(moved=1)) == "1 of 5 monitored columns moved; up to 1 are tolerated."
    assert words.headline(compared.night(moved=4)) == "4 of 5 monitored columns moved, more than the 1 tolerated."


def test_changes_say_what_moved(compared: Any) -> None:
    drift = compared.night(moved=4)
    wind = words.changes(drift.by_name["wind"])
    assert wind[0].startswith("Values ")
    assert "of the night, 10\u202f% of training." in wind[0]
    assert wind[1].startswith("The mean is 16.")
    assert "standard deviations away" in wind[1]
    assert 5 < float(words.mean_distance(drift.by_name["wind"])) < 8
    assert words.mean_distance(drift.by_name["carrier"]) == "\u2013"
    assert words.changes(drift.by_name["seats"])[0].startswith("Missing values are")
    carrier = words.changes(drift.by_name["carrier"])
    assert carrier[0].startswith("New categories are")
    assert carrier[1].startswith("Never seen in training: <script>")


def test_strength() -> None:
    assert [words.strength(psi, 0.25) for psi in (0.05, 0.2, 0.3)] == ["little change", "some change", "a large change"]


def test_long_names_break_after_underscores_and_stay_escaped() -> None:
    assert formatting.breakable("a_b/c<") == "a_<wbr>b/<wbr>c&lt;"


def test_a_large_steady_change_is_set_against_a_small_one_that_moved(compared: Any) -> None:
    varied = replace(compared.reference, variation={"wind": NightVariation(psi=0.0, design_effect=400.0)})
    night = replace(compared, reference=varied).night(moved=2)
    drift = replace(night, columns=tuple(c for c in night.columns if c.name in {"wind", "precip"}))
    wind, precip = drift.by_name["wind"], drift.by_name["precip"]
    assert (wind.verdict, precip.verdict, wind.psi > precip.psi) == ("stable", "drift", True)
    assert words.contrast(drift) == (
        f"wind changed by a PSI of {wind.psi:.2f} and counts as steady: training’s nights differ in it 400 times as "
        f"much as chance among rows would make them, so that such a change may be chance (q {wind.q:.2g}, not below "
        "0.01); "
        f"precip moved with {precip.psi:.2f}: training’s nights differ in it by no more than chance among rows "
        "(q <0.0001)."
    )
    alone = replace(drift, columns=(wind,))
    assert words.contrast(alone).endswith("may be chance (q " + f"{wind.q:.2g}, not below 0.01).")
    assert words.contrast(compared.night(moved=4)) == ""
    assert words.contrast(compared.night()) == ""


@pytest.mark.parametrize(
    ("night", "sentence"),
    [
        ({1.0: 70, 2.0: 30}, "The value 2 is 30\u202f% of the night, 50\u202f% of training."),
        ({2.0: 100}, "The value 1 is none of the night, 50\u202f% of training."),
        ({1.0: 45, 2.0: 45, -1.0: 10}, "Values below 0 are 10\u202f% of the night, none of training."),
    ],
)
def test_a_bin_without_a_row_on_either_side_is_never_the_one_that_changed(
    night: dict[float, int], sentence: str
) -> None:
    edges = (0.0, 1.0, 2.0, 3.0)
    reference = Profile(rows=10_000, columns={"x": count_numeric([1.0, 2.0] * 5000, edges)})
    values = [value for value, count in night.items() for _ in range(count)]
    profile = Profile(rows=len(values), columns={"x": count_numeric(values, edges)})
    (column,) = compare(profile, reference, Drift(), watched=["x"]).columns
    assert words.changes(column)[0] == sentence


def test_a_night_like_training_names_a_bin_that_has_rows() -> None:
    """Nothing is below 0: the PSI's pseudo counts alone set such a bin apart where a night has few rows."""
    edges = (0.0, 1.0, 2.0, 3.0)
    reference = Profile(rows=10_000, columns={"x": count_numeric([1.0, 2.0] * 5000, edges)})
    profile = Profile(rows=100, columns={"x": count_numeric([1.0, 2.0] * 50, edges)})
    (column,) = compare(profile, reference, Drift(), watched=["x"]).columns
    assert words.changes(column)[0] == "The value 1 is 50\u202f% of the night, 50\u202f% of training."

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from nightjar.declaration.monitoring import Drift
from nightjar.monitoring.drift.comparison import compare
from nightjar.monitoring.drift.measures import bin_counts, psi, two_sample_test
from nightjar.monitoring.profiles.profile import NightVariation, Profile, ProfiledColumn
from nightjar.monitoring.profiles.summarize import count_numeric, profile_arrays
from nightjar.protocol.errors import GateError

COLUMNS = [ProfiledColumn(f"x{i}", "numeric") for i in range(6)] + [ProfiledColumn("c", "categorical")]
WATCHED = [column.name for column in COLUMNS]


def sample(random: np.random.Generator, rows: int, shift: float = 0.0) -> dict[str, np.ndarray]:
    data = {f"x{i}": random.normal(size=rows) for i in range(5)}
    data["x0"] = data["x0"] + shift
    data["x5"] = np.where(random.random(rows) < 0.8, 0.0, random.exponential(size=rows))
    data["c"] = random.choice([f"k{i}" for i in range(40)], rows, p=(w := 1 / np.arange(1, 41)) / w.sum())
    return data


def compare_sample(reference: Profile, data: dict[str, np.ndarray], max_psi: float = 0.25) -> list[str]:
    night = profile_arrays(data, COLUMNS, reference)
    result = compare(night, reference, Drift(max_psi=max_psi), watched=WATCHED)
    return [column.name for column in result.drifted]


@pytest.mark.parametrize(("rows", "max_psi"), [(900, 0.25), (900, 0.02), (60, 0.25)])
def test_clean_nights_do_not_cry_wolf(rows: int, max_psi: float) -> None:
    """At most 5 % of clean nights have a column that drifted, small nights and a tiny threshold included."""
    random = np.random.default_rng(11)
    reference = profile_arrays(sample(random, 20_000), COLUMNS)
    alarms = [bool(compare_sample(reference, sample(random, rows), max_psi)) for _ in range(60)]
    assert sum(alarms) <= 0.05 * len(alarms)


def test_chance_is_taken_off() -> None:
    """Raw PSI of clean nights is well above zero on average; what is reported is not."""
    random = np.random.default_rng(5)
    reference = profile_arrays(sample(random, 20_000), COLUMNS)
    columns = [
        compare(profile_arrays(sample(random, 200), COLUMNS, reference), reference, Drift(), watched=WATCHED).by_name[
            "c"
        ]
        for _ in range(30)
    ]
    assert np.mean([column.raw_psi for column in columns]) > 0.12
    assert np.mean([column.raw_psi - column.usual_psi for column in columns]) == pytest.approx(0.0, abs=0.02)


def test_a_middling_shift_is_found_and_nothing_else() -> None:
    random = np.random.default_rng(3)
    reference = profile_arrays(sample(random, 20_000), COLUMNS)
    found = [compare_sample(reference, sample(random, 900, shift=0.7)) for _ in range(20)]
    assert found == [["x0"]] * 20


def test_the_test_must_agree_with_the_effect() -> None:
    """A handful of rows may lie far off by chance: the effect is large, the test silent, the column stable."""
    reference = Profile(rows=1000, columns={"x": count_numeric(np.arange(1000.0), (500.0,))})
    night = Profile(rows=4, columns={"x": count_numeric([1.0, 2.0, 3.0, 600.0], (500.0,))})
    column = compare(night, reference, Drift(max_psi=0.0, max_q=0.01), watched=["x"]).columns[0]
    assert column.verdict == "stable"
    assert column.p > 0.1


def test_usual_nights_are_taken_off() -> None:
    random = np.random.default_rng(2)
    reference = Profile(rows=1000, columns={"x": count_numeric(random.normal(size=1000), (-1.0, 0.0, 1.0))})
    night = Profile(rows=100, columns={"x": count_numeric(random.normal(1.0, size=100), (-1.0, 0.0, 1.0))})
    varied = Profile(rows=1000, columns=reference.columns, variation={"x": NightVariation(psi=9.0, design_effect=50.0)})
    plain = compare(night, reference, Drift(), watched=["x"]).columns[0]
    excused = compare(night, varied, Drift(), watched=["x"]).columns[0]
    assert (plain.verdict, excused.verdict, excused.psi, excused.usual_psi) == ("drift", "stable", 0.0, 9.0)
    assert excused.statistic == pytest.approx(plain.statistic / 50)


def test_a_column_is_looked_at_twice_and_pays_for_it() -> None:
    values = np.arange(1000.0)
    reference = Profile(rows=1000, columns={"x": count_numeric(values, (500.0,))})
    holes = np.where(np.arange(1000) % 10 == 0, np.nan, values)
    night = Profile(rows=1000, columns={"x": count_numeric(holes, (500.0,))})
    varied = replace(reference, variation={"x": NightVariation(psi=9.0, design_effect=50.0, missing_psi=0.0)})
    (column,) = compare(night, varied, Drift(), watched=["x"]).columns
    then, now = np.array([1000, 0]), np.array([900, 100])
    assert (column.verdict, column.raw_psi) == ("drift", psi(then, now))
    assert (column.statistic, column.degrees, column.p / 2) == two_sample_test(then, now)
    (whole,) = compare(
        Profile(rows=1000, columns={"x": count_numeric(values / 4, (500.0,))}), varied, Drift(), watched=["x"]
    ).columns
    assert (whole.degrees, whole.usual_psi) == (1, 9.0), "nothing is missing, so there is one look"


def test_columns_that_are_not_watched_are_shown_last_and_do_not_count() -> None:
    random = np.random.default_rng(3)
    reference = profile_arrays(sample(random, 5000), COLUMNS)
    night = profile_arrays(sample(random, 900, shift=3.0), COLUMNS, reference)
    result = compare(night, reference, Drift(max_drifted_share=0.0), watched=[n for n in WATCHED if n != "x0"])
    assert result.columns[-1].name == "x0"
    assert (result.columns[-1].verdict, result.columns[-1].q, result.verdict) == ("not_watched", None, "stable")


def test_the_night_drifts_above_the_tolerated_share() -> None:
    random = np.random.default_rng(3)
    reference = profile_arrays(sample(random, 5000), COLUMNS)
    night = profile_arrays(sample(random, 900, shift=3.0), COLUMNS, reference)
    for tolerated, verdict in ((1 / 7, "stable"), (0.14, "drift")):
        result = compare(night, reference, Drift(max_drifted_share=tolerated), watched=WATCHED)
        assert (result.verdict, result.drifted_share) == (verdict, pytest.approx(1 / 7))


def test_missing_values_are_a_bin() -> None:
    reference = Profile(rows=1000, columns={"x": count_numeric(np.arange(1000.0), (500.0,))})
    holes = np.where(np.arange(1000) % 2 == 0, np.nan, np.arange(1000.0))
    column = compare(
        Profile(rows=1000, columns={"x": count_numeric(holes, (500.0,))}), reference, Drift(), watched=["x"]
    ).columns[0]
    assert bin_counts(column.night).tolist() == [250, 250, 500]
    assert (column.verdict, column.null_delta) == ("drift", 0.5)


def test_new_categories_are_named_only_when_training_listed_all() -> None:
    columns = [ProfiledColumn("c", "categorical")]
    few = profile_arrays({"c": ["a", "b"] * 50}, columns)
    night = compare(profile_arrays({"c": ["a", "new"]}, columns, few), few, Drift(), watched=["c"])
    assert night.columns[0].new_categories == ("new",)
    many = profile_arrays({"c": [f"k{i}" for i in range(60)]}, columns)
    night = compare(profile_arrays({"c": ["k1", "new"]}, columns, many), many, Drift(), watched=["c"])
    assert night.columns[0].new_categories == ()


def test_every_measure_of_a_moved_column() -> None:
    random = np.random.default_rng(6)
    reference = profile_arrays(sample(random, 20_000), COLUMNS)
    columns = compare(profile_arrays(sample(random, 900, 0.7), COLUMNS, reference), reference, Drift(), watched=WATCHED)
    moved, still, category = (columns.by_name[name] for name in ("x0", "x1", "c"))
    assert moved.wasserstein == pytest.approx(0.7, abs=0.1)  # in the column's own unit
    assert still.wasserstein is not None
    assert still.wasserstein < 0.1
    assert (moved.ks or 0) > 0.2 > 0.07 > (still.ks or 0)
    assert moved.js_distance > 0.25 > 0.12 > still.js_distance
    assert (category.ks, category.wasserstein) == (None, None)


def test_a_reference_without_sketches_has_no_wasserstein() -> None:
    reference = Profile(rows=4, columns={"x": count_numeric([1.0, 2.0, 3.0, 4.0], (2.0,))})
    column = compare(reference, reference, Drift(), watched=["x"]).columns[0]
    assert (column.wasserstein, column.ks) == (None, 0.0)


@pytest.mark.parametrize(
    ("night", "watched", "message"),
    [
        (Profile(rows=0, columns={"x": count_numeric([], (1.0,))}), ["x"], "no rows to compare in x"),
        (Profile(rows=1, columns={"x": count_numeric([1.0], (2.0,))}), ["x"], "other bins"),
        (Profile(rows=1, columns={"y": count_numeric([1.0], (1.0,))}), ["y"], "cannot compare y"),
        (Profile(rows=1, columns={"x": count_numeric([1.0], (1.0,))}), ["x", "z"], "cannot compare z"),
        (Profile(rows=1, columns={"x": count_numeric([1.0], (1.0,))}), [], "no column is monitored"),
    ],
)
def test_a_comparison_that_cannot_look_fails(night: Profile, watched: list[str], message: str) -> None:
    reference = Profile(rows=2, columns={"x": count_numeric([0.0, 1.0], (1.0,))})
    with pytest.raises(GateError, match=message):
        compare(night, reference, Drift(), watched=watched)

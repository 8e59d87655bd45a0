from __future__ import annotations

from typing import Any
from xml.etree import ElementTree

import pytest

from nightjar.declaration.monitoring import Drift
from nightjar.monitoring.drift.comparison import compare
from nightjar.monitoring.drift.plots import MAX_BARS, bars, history_plot, plot, tally
from nightjar.monitoring.profiles.profile import ProfiledColumn
from nightjar.monitoring.profiles.summarize import profile_arrays


@pytest.mark.parametrize("moved", [0, 4])
def test_bars_add_up_to_all_rows(compared: Any, moved: int) -> None:
    for column in compared.night(moved=moved).columns:
        drawn = bars(column)
        assert sum(bar.reference for bar in drawn) == pytest.approx(1)
        assert sum(bar.night for bar in drawn) == pytest.approx(1)
        assert any(bar.moved for bar in drawn) == (column.verdict == "drift")


def test_many_categories_are_folded_but_the_heaviest_change_is_shown() -> None:
    columns = [ProfiledColumn("c", "categorical")]
    names = [f"k{i:02}" for i in range(40)]
    reference = profile_arrays({"c": names * 50}, columns)
    night = profile_arrays({"c": names * 5 + ["k33"] * 90}, columns, reference)
    drawn = bars(compare(night, reference, Drift(), watched=["c"]).columns[0])
    assert len(drawn) <= MAX_BARS
    assert "k33" in [bar.name for bar in drawn if bar.moved]
    assert sum(bar.night for bar in drawn) == pytest.approx(1)


def test_the_plots_label_holds_every_bar(compared: Any) -> None:
    column = compared.night(moved=4).by_name["carrier"]
    label = ElementTree.fromstring(plot(column)).get("aria-label") or ""
    assert label.startswith("carrier: ")
    assert all(bar.name in label for bar in bars(column))


def test_one_square_per_watched_column(compared: Any) -> None:
    root = ElementTree.fromstring(tally(compared.night(moved=2)))
    assert [rect.get("class") for rect in root].count("on") == 2
    assert len(root) == 5


def test_the_history_ends_with_this_night() -> None:
    root = ElementTree.fromstring(history_plot([], 0.5, 0.3))
    assert [rect.get("class") for rect in root if rect.tag == "rect"] == ["now moved"]


def test_a_value_and_the_bound_after_it_are_not_both_labelled(compared: Any) -> None:
    """Zero has a bin of its own, and the next begins at it."""
    column = compared.night(moved=2).by_name["precip"]
    assert [bar.name.split(" to ")[0] for bar in bars(column)][:2] == ["0", "0"]
    ticks = [mark.text for mark in ElementTree.fromstring(plot(column)).iter("text") if mark.get("class") == "tick"]
    assert ticks.count("0") == 1

"""A reference and three nights of it: like training, moved a little, moved a lot."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

import numpy as np
import pytest
from numpy.random import Generator

from nightjar.declaration.monitoring import Drift
from nightjar.monitoring.data_quality.rejections import Rejection
from nightjar.monitoring.data_quality.volumes import Volume
from nightjar.monitoring.drift.comparison import NightDrift, compare
from nightjar.monitoring.drift.domain import Domain
from nightjar.monitoring.drift.report import Report
from nightjar.monitoring.drift.table import PastNight
from nightjar.monitoring.drift.windows import ColumnWindows, Window
from nightjar.monitoring.performance.intervals import Interval
from nightjar.monitoring.profiles.profile import Profile, ProfiledColumn
from nightjar.monitoring.profiles.summarize import profile_arrays
from nightjar.monitoring.reporting.origin import ReportOrigin

COLUMNS = (
    ProfiledColumn("wind", "numeric"),
    ProfiledColumn("precip", "numeric"),
    ProfiledColumn("seats", "numeric"),
    ProfiledColumn("carrier", "categorical"),
    ProfiledColumn("prediction", "numeric"),
)
HOSTILE = "<script>alert('x')</script>\"&"


def rows(random: Generator, count: int, moved: int = 0) -> dict[str, np.ndarray]:
    """``count`` rows; ``moved`` columns of them, in the order of COLUMNS, differ from training."""
    wind = random.gamma(6, 1.7, count) * (1.6 if moved > 0 else 1)
    precip = np.where(random.random(count) < (0.3 if moved > 1 else 0.8), 0.0, random.exponential(0.2, count))
    seats = random.choice([55.0, 140.0, 200.0], count)
    seats[random.random(count) < (0.5 if moved > 2 else 0.1)] = np.nan
    carrier = random.choice(["UA", "B6", "EV"], count).astype(object)
    if moved > 3:
        carrier[random.random(count) < 0.3] = HOSTILE
    return {
        "wind": wind,
        "precip": precip,
        "seats": seats,
        "carrier": carrier,
        "prediction": random.beta(2, 6, count),
    }


@dataclass(frozen=True)
class Compared:
    """Makes comparisons of seeded nights with one reference of 20,000 rows."""

    random: Generator
    reference: Profile

    def night(self, moved: int = 0, count: int = 900) -> NightDrift:
        profile = profile_arrays(rows(self.random, count, moved), COLUMNS, self.reference)
        return compare(profile, self.reference, Drift(), watched=[column.name for column in COLUMNS])


@pytest.fixture
def compared() -> Compared:
    random = np.random.default_rng(7)
    return Compared(random, profile_arrays(rows(random, 20_000), COLUMNS))


@pytest.fixture
def report(compared: Compared) -> Report:
    """A night on which four of five columns moved, one of them by a category with a hostile name."""
    drift = compared.night(moved=4)
    windows = {
        "wind": ColumnWindows(
            week=Window(nights=7, psi=0.4), recent=Window(nights=14, psi=0.01), weekday=Window(nights=4, psi=0.3)
        ),
        "precip": ColumnWindows(recent=Window(nights=14, psi=0.6)),
    }
    return Report(
        title=f"Flights {HOSTILE}",
        use_case="flight_delay",
        night=date(2013, 4, 1),
        drift=drift,
        windows={**dict.fromkeys(drift.by_name, ColumnWindows()), **windows},
        domain=Domain(
            auc=Interval(value=0.83, low=0.81, high=0.85),
            usual_auc=0.74,
            shares={"wind": 0.5, "carrier": 0.3, "seats": 0.2},
            reference_rows=4000,
            night_rows=900,
            columns=5,
        ),
        comments={"wind": f"Wind {HOSTILE}"},
        model_name="flight_delay",
        model_version="3",
        model_sha256="ab" * 32,
        volumes=[
            Volume(table="raw/flights", rows=912, rejected=3, earlier=(903, 880, 921)),
            Volume(table="features/flight_delay", rows=912, rejected=0, earlier=(900,)),
        ],
        rejections=[
            Rejection(table="raw/flights", rule="air_time_in_range", reason="minutes in the air, 5 to 1,200", rows=2),
            Rejection(table="raw/flights", rule=f"gone {HOSTILE}", reason="", rows=1),
        ],
        warnings=[f"raw/weather.temp: mean 12, expected 30 to 70 {HOSTILE}", "raw/flights: rows 912, expected 950"],
        history=[PastNight(night=date(2013, 3, 31), psi={"wind": 0.3}, watched=5, drifted=1)],
        notes=["Read this."],
        mlflow_uri="http://localhost:5000",
        origin=ReportOrigin(
            git_commit="0123456789abcdef",
            run_id=f"manual__{HOSTILE}",
            table_versions={"features/flight_delay": 9},
        ),
    )

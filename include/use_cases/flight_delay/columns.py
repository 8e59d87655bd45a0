"""Declaration of the model's inputs, used by ``use_case.py`` and the Spark code. Standard library only."""

from __future__ import annotations

from nightjar.declaration.features import Feature

LATE_MINUTES = 15
"""A flight counts as late when it arrives more than this many minutes after its schedule."""

WINDOWS = (1, 7, 28)
"""Lengths of the trailing windows, in days ending with night D."""

HISTORY_KINDS = {
    "all": "all flights",
    "carrier": "the carrier's flights",
    "carrier_origin": "the carrier's flights from this origin",
    "dest": "flights to this destination",
    "route": "flights on this route",
    "origin_hour": "flights scheduled out of this origin in this local hour",
    "tail": "flights of this plane",
    "flight": "flights of this carrier's flight number",
}
"""Groups of earlier flights, with a description for column comments."""

CALENDAR = (
    Feature("day_of_week", "numeric", "Day of the week of the flight, 1 Sunday to 7 Saturday.", drift=False),
    Feature("departure_minute", "numeric", "Scheduled departure, minutes after local midnight."),
)
SCHEDULE = (
    Feature("carrier", "categorical", "Two-letter carrier code."),
    Feature("origin", "categorical", "Origin airport (FAA)."),
    Feature("dest", "categorical", "Destination airport (FAA)."),
    Feature("distance", "numeric", "Distance, miles."),
    Feature("arrival_minute", "numeric", "Scheduled arrival, minutes after midnight of the destination's clock."),
    Feature("scheduled_minutes", "numeric", "Scheduled time from departure to arrival, minutes."),
    Feature("origin_departures_around", "numeric", "Departures scheduled at the origin within 30 minutes either side."),
    Feature("origin_departures_before", "numeric", "Departures scheduled at the origin in the 3 hours before."),
    Feature("origin_departures_day", "numeric", "Departures scheduled at the origin that day.", drift=False),
    Feature("carrier_departures_day", "numeric", "The carrier's departures scheduled at the origin that day."),
    Feature("plane_leg", "numeric", "How many-th departure of the plane out of New York that day."),
    Feature("plane_legs", "numeric", "Departures of the plane out of New York that day."),
    Feature("plane_gap_minutes", "numeric", "Minutes since the plane's previous scheduled departure that day."),
)
PLANE = (
    Feature("plane_seats", "numeric", "Seats of the plane."),
    Feature("plane_age_years", "numeric", "Years since the plane was made."),
)
WEATHER = (
    Feature("precip_recent", "numeric", "Precipitation at the origin in the last 6 hours before midnight, inches."),
    Feature("precip_day", "numeric", "Precipitation at the origin on day ds, inches."),
    Feature("visibility_last", "numeric", "Last visibility seen at the origin before midnight, miles."),
    Feature("visibility_low", "numeric", "Least visibility at the origin in the last 6 hours, miles."),
    Feature("wind_recent", "numeric", "Mean wind at the origin in the last 6 hours, miles per hour."),
    Feature("pressure_last", "numeric", "Last pressure at the origin before midnight, millibars."),
    Feature("pressure_change", "numeric", "Pressure at the origin: last less the one 6 hours earlier, millibars."),
    Feature("temp_last", "numeric", "Last temperature at the origin before midnight, degrees Fahrenheit.", drift=False),
    Feature("dewp_last", "numeric", "Last dew point at the origin before midnight, degrees Fahrenheit.", drift=False),
    Feature("pressure_missing", "numeric", "Share of day ds's hours without a pressure at the origin."),
)
HISTORY = tuple(
    feature
    for kind, whose in HISTORY_KINDS.items()
    for days in WINDOWS
    for feature in (
        Feature(f"{kind}_late_rate_{days}d", "numeric", f"Share late of {whose}, landed within {days} d, smoothed."),
        Feature(f"{kind}_delay_{days}d", "numeric", f"Mean arrival delay of {whose}, landed within {days} d, minutes."),
    )
)

FEATURES = (*CALENDAR, *SCHEDULE, *PLANE, *WEATHER, *HISTORY)

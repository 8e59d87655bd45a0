"""All tables of monitoring, for maintenance and for the data dictionary."""

from __future__ import annotations

from nightjar.monitoring.data_quality.table import LANDING_TABLE, WARNINGS_TABLE
from nightjar.monitoring.drift.domain_table import DOMAIN_TABLE
from nightjar.monitoring.drift.table import DRIFT_TABLE
from nightjar.monitoring.experiments.table import EXPERIMENTS_TABLE
from nightjar.monitoring.incidents.table import INCIDENTS_TABLE
from nightjar.monitoring.performance.table import COUNTS_TABLE, PERFORMANCE_TABLE
from nightjar.monitoring.profiles.table import PROFILES_TABLE
from nightjar.monitoring.skew.table import SKEW_TABLE

MONITORING_TABLES = (
    LANDING_TABLE,
    WARNINGS_TABLE,
    DRIFT_TABLE,
    PROFILES_TABLE,
    DOMAIN_TABLE,
    PERFORMANCE_TABLE,
    COUNTS_TABLE,
    SKEW_TABLE,
    EXPERIMENTS_TABLE,
    INCIDENTS_TABLE,
)

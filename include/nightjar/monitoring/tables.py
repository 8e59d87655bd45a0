"""All tables of monitoring: who tends and documents tables finds them here."""

from __future__ import annotations

from nightjar.monitoring.domain_records import DOMAIN_TABLE
from nightjar.monitoring.experiment_records import EXPERIMENTS_TABLE
from nightjar.monitoring.incident_records import INCIDENTS_TABLE
from nightjar.monitoring.performance_records import COUNTS_TABLE, PERFORMANCE_TABLE
from nightjar.monitoring.profile_records import PROFILES_TABLE
from nightjar.monitoring.records import DRIFT_TABLE
from nightjar.monitoring.skew import SKEW_TABLE
from nightjar.monitoring.warning_records import LANDING_TABLE, WARNINGS_TABLE

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

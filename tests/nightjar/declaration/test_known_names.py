"""The lists of known names equal those of the tools that read them."""

from __future__ import annotations

import json
from typing import Any

import duckdb
import numpy as np
import pytest
from airflow.utils.dates import cron_presets
from croniter import croniter

from nightjar.declaration.boosting_params import ALIASES, DECIDED, PARAMETERS
from nightjar.declaration.cron import PRESETS, check_cron
from nightjar.declaration.engines import Boosting
from nightjar.declaration.predicates import columns_read
from nightjar.declaration.problem import Binary
from nightjar.declaration.reserved import ADDED_COLUMNS, SQL_WORDS
from nightjar.problems.binary.problem import BinaryProblem
from nightjar.protocol.errors import ConfigurationError
from nightjar.training.engines.boosting.fit import engine_params
from nightjar.training.engines.libraries import import_xgboost
from use_cases.flight_delay.use_case import USE_CASE

NOT_DECLARED = {
    "debug_synchronize", "fail_on_invalid_gpu_id", "multi_strategy", "num_trees", "process_type", "refresh_leaf",
    "sparse_threshold", "updater", "updater_seq", "validate_parameters",
}  # fmt: skip
"""XGBoost parameters for its developers, or with a single value that works here."""
VALUES: dict[str, Any] = {
    "objective": "binary:logistic", "booster": "gbtree", "tree_method": "hist",
    "sampling_method": "uniform", "grow_policy": "lossguide", "max_bin": 256, "monotone_constraints": "(1,0)",
    "interaction_constraints": "[[0, 1]]", "base_score": 0.5, "verbosity": 1,
}  # fmt: skip
PROBLEM = BinaryProblem(Binary())


def booster(**params: Any) -> Any:
    """Return a booster trained on a few rows, which has read its parameters."""
    xgb = import_xgboost()
    rows = np.random.default_rng(1).random((50, 2))
    return xgb.train(params, xgb.QuantileDMatrix(rows, (rows[:, 0] > 0.5).astype(float)), 1)


@pytest.mark.filterwarnings("error")
def test_every_parameter_that_may_be_declared_is_known_to_xgboost() -> None:
    first_names = {name: VALUES.get(name, 1) for name in PARAMETERS if name not in ALIASES}
    assert booster(**engine_params(Boosting(params=first_names), PROBLEM, seed=1)).num_boosted_rounds() == 1
    second_names = {name: VALUES.get(name, 1) for name in PARAMETERS if name not in ALIASES.values()}
    assert booster(**engine_params(Boosting(params=second_names), PROBLEM, seed=1)).num_boosted_rounds() == 1


def test_every_parameter_of_trees_that_xgboost_knows_may_be_declared_or_is_decided() -> None:
    config = json.loads(booster(objective="binary:logistic", tree_method="hist").save_config())["learner"]
    trees = config["gradient_booster"]
    groups = [
        config["generic_param"], config["learner_train_param"], config["objective"]["reg_loss_param"],
        trees["gbtree_model_param"], trees["gbtree_train_param"], trees["tree_train_param"],
        trees["updater"][0]["hist_train_param"],
    ]  # fmt: skip
    known = {name for group in groups for name in group}
    assert known - PARAMETERS.keys() - DECIDED.keys() == NOT_DECLARED


def test_reserved_words_are_those_of_duckdb() -> None:
    rows = duckdb.sql("SELECT keyword_name FROM duckdb_keywords() WHERE keyword_category = 'reserved'").fetchall()
    assert {name for (name,) in rows} <= SQL_WORDS


def test_columns_that_no_declaration_may_name_are_those_that_the_tables_add() -> None:
    own = {column.name for column in (*USE_CASE.entity.key, *USE_CASE.entity.carried)}
    tables = (USE_CASE.label_table, USE_CASE.score_table)
    assert {name for table in tables for name in table.column_names} - own <= ADDED_COLUMNS


def test_presets_are_those_of_airflow() -> None:
    assert cron_presets == PRESETS


@pytest.mark.parametrize(
    "expression",
    [*PRESETS, "0 2 * * *", "00 02 * * *", "15 3 * * mon-fri", "0 4 1,15 * *", "*/5 1-5/2 * jan,Feb 7", "0 0 29 2 *",
     "0 0 31 1,2 *", "0 0 31 2 fri"],
)  # fmt: skip
def test_a_cron_expression_that_is_accepted_is_due_some_day(expression: str) -> None:
    check_cron(expression, where="here")
    assert croniter(PRESETS.get(expression, expression)).get_next()


@pytest.mark.parametrize(
    "expression",
    ["tomorrow", "* * * *", "60 * * * *", "* 24 * * *", "* * 32 * *", "* * 0 * *", "* * * 13 *", "*/0 * * * *",
     "a * * * *", "* * * * 8", "0 0 31 4,6,9,11 *", "1- * * * *", "1,,2 * * * *", "@reboot"],
)  # fmt: skip
def test_a_cron_expression_that_is_never_due_is_refused_as_by_airflow(expression: str) -> None:
    with pytest.raises(ConfigurationError):
        check_cron(expression, where="here")
    with pytest.raises(Exception, match=r".+"):
        croniter(expression).get_next()


@pytest.mark.parametrize(
    ("predicate", "columns"),
    [
        ("amount < 0", {"amount"}),
        ("Amount < 0 OR `Odd Name` IS NULL", {"amount", "odd name"}),
        ("NOT regexp_like(carrier, '^[A-Z]{2}$')", {"carrier"}),
        ("shop NOT IN ('amount', \"number\", 'it\\'s')", {"shop"}),
        ("a DIV 100 * 60 + a % 100 > 1e5 AND b <> 2.5D -- and c\n /* d */", {"a", "b"}),
        ("CASE WHEN a IS NOT DISTINCT FROM b THEN TRUE ELSE false END", {"a", "b"}),
        ("CAST(a AS decimal(10, 2)) > 1 AND b::int = 3", {"a", "b"}),
        ("to_date(from_utc_timestamp(at_hour, 'America/New_York')) <> date_add(ds, 1)", {"at_hour", "ds"}),
        ("moment > ds + INTERVAL '1' DAY AND moment < TIMESTAMP '2013-01-01 00:00:00'", {"moment", "ds"}),
        ("extract(YEAR FROM moment) < 2000", {"moment"}),
        ("exists(tags, x -> x = 'a' OR x = kind)", {"tags", "kind"}),
        ("aggregate(tags, 0, (acc, x) -> acc + x) > 1", {"tags"}),
        ("row_of.field > 1", {"row_of"}),
        ("1 = 1", set()),
    ],
)
def test_the_columns_of_a_predicate_are_found_and_nothing_else(predicate: str, columns: set[str]) -> None:
    assert columns_read(predicate) == columns


@pytest.mark.parametrize("predicate", ["", "  ", "-- a", "a = 'b", "a = (1", "a = 1)", "a[1)", "`a = 1"])
def test_a_predicate_that_does_not_close_what_it_opens_is_refused(predicate: str) -> None:
    with pytest.raises(ValueError, match=r"closed|closes nothing|empty"):
        columns_read(predicate)

"""Reserved names of columns and use cases. Standard library only."""

from __future__ import annotations

import builtins
import keyword
import re
import sys
from collections.abc import Iterable, Sequence

from nightjar.declaration.declared import check_unique, refuse
from nightjar.protocol.names import IDENTIFIER_FORM, is_identifier

_SQL_WORDS = """
all analyse analyze and any array as asc asymmetric both case cast check collate column constraint create
current_catalog current_date current_role current_schema current_time current_timestamp current_user default
deferrable desc describe distinct do else end except false fetch for foreign from grant group having in
initially intersect into lambda lateral leading limit localtime localtimestamp not null offset on only or order
pivot pivot_longer pivot_wider placing primary qualify references returning select session_user show some
summarize symmetric table then to trailing true union unique unpivot user using variadic when where window with
"""
SQL_WORDS = frozenset(_SQL_WORDS.split())
"""Words reserved in DuckDB, in PostgreSQL, or as value functions of the SQL standard. Unquoted, they are a syntax error
or read another value. A test compares the list with DuckDB's own."""

_ADDED_COLUMNS = """
ds source_file landed_at label outcome known_at prediction model_name model_version model_sha256
features_version dag_run_id scored_at decision fallback_reason experiment variant
"""
ADDED_COLUMNS = frozenset(_ADDED_COLUMNS.split())
"""Columns that Nightjar adds to a use case's tables, some only with an option."""
_ADDED_BY_NUMBER = re.compile(r"reason_\d+(_contribution)?|random_probe_\d+")
"""Numbered columns that Nightjar adds: reason codes, and random probes of the feature selection."""


def check_sql_words(names: Iterable[str], *, where: str) -> None:
    """Reject column names that every query would have to quote.

    Raises:
        ConfigurationError: listing these names.
    """
    if words := [name for name in names if name in SQL_WORDS]:
        refuse(
            f"column {', '.join(words)} is a reserved word of SQL",
            where=where,
            how_many=len(words),
            fix=f"choose a name that no query has to quote, e.g. {words[0]}_id, {words[0]}_date",
        )


def check_not_added(names: Iterable[str], *, where: str) -> None:
    """Reject column names that Nightjar adds to the same tables.

    Raises:
        ConfigurationError: listing these names.
    """
    if taken := [name for name in names if name in ADDED_COLUMNS or _ADDED_BY_NUMBER.fullmatch(name)]:
        refuse(
            f"column {', '.join(taken)} is one that Nightjar adds to the table itself",
            where=where,
            how_many=len(taken),
            fix=f"choose another name; taken are: {', '.join(sorted(ADDED_COLUMNS))}, reason_<n>, random_probe_<n>",
        )


def check_columns(names: Sequence[str], *, where: str) -> None:
    """Reject column names that occur twice, that Nightjar adds to the same tables, or that every query would quote.

    Raises:
        ConfigurationError: listing these names.
    """
    check_unique(names, kind="column", where=where)
    check_not_added(names, where=where)
    check_sql_words(names, where=where)


MAX_USE_CASE_NAME = 50
"""Maximum length of a use case's name. The longest derived name, ``raw/<name>_entities``, must fit 63 characters."""
_TAKEN_ENDINGS = ("_latest", "_nightly", "_training", "_history", "_rollback")
"""Suffixes of the view and the DAGs derived from a use case's name."""


def check_use_case_name(name: str, *, where: str) -> None:
    """Check that ``name`` can be a Python package, a DAG file, a table and a registered model.

    Raises:
        ConfigurationError: for an invalid form, a Python keyword or builtin, a standard library module that
            ``dags/<name>.py`` would shadow, or a suffix of derived names.
    """
    if not is_identifier(name) or len(name) > MAX_USE_CASE_NAME:
        refuse(
            f"{name!r} is not the name of a use case",
            where=where,
            fix=f"use {IDENTIFIER_FORM.replace('63', str(MAX_USE_CASE_NAME))}",
        )
    words = {word.lower() for word in (*keyword.kwlist, *keyword.softkwlist, *dir(builtins))}
    if name in words or name in sys.stdlib_module_names:
        kind = "a module of Python's library" if name in sys.stdlib_module_names else "a word of Python"
        refuse(f"{name!r} is {kind}", where=where, fix=f"choose another name, e.g. {name}_risk")
    if name in SQL_WORDS:
        refuse(f"{name!r} is a reserved word of SQL", where=where, fix=f"choose another name, e.g. {name}_risk")
    if name.endswith(_TAKEN_ENDINGS):
        refuse(
            f"{name!r} ends like a view or DAG of another use case",
            where=where,
            fix=f"choose a name that does not end in {', '.join(_TAKEN_ENDINGS)}",
        )

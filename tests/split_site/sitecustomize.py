"""Loaded by every Python that has this folder on its path: Spark's workers, for the tests of an experiment."""

from declared import declare

declare()

"""The floats with three reasons a row; the declaration that `EXPLAIN=3 make bench-score` scores."""

from __future__ import annotations

import os
from dataclasses import replace

from nightjar.declaration.scoring import Scoring
from use_cases.floats.use_case import USE_CASE as FLOATS

USE_CASE = replace(FLOATS, name="floats_explained", scoring=Scoring(reason_codes=int(os.environ.get("EXPLAIN") or 3)))

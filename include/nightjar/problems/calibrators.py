"""The calibrators of all problem types, as a model's card holds them."""

from __future__ import annotations

from nightjar.problems.binary import calibration as binary
from nightjar.problems.multiclass import calibration as multiclass
from nightjar.problems.regression import calibration as regression

Calibrator = binary.Calibrator | multiclass.Temperature | regression.Offsets
"""Maps the members' common output to the model's; a field ``method`` tells them apart."""

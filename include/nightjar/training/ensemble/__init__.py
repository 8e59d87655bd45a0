"""Several members with one prediction: weights and calibration."""

"""Yes/no questions: probabilities, their metrics, calibration and decisions."""

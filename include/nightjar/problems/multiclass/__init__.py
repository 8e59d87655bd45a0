"""One of several classes: probabilities, their metrics, calibration and decisions."""

"""Incidents: findings from opening to resolution, and when they ask for a training."""

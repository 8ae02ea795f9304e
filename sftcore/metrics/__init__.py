"""Metrics, calibration, intervals."""

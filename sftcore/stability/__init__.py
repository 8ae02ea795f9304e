"""Answers to instability."""

"""Answers to over-fitting."""

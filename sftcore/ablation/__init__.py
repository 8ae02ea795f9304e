"""Grids of short trainings: plan, run, compare, report."""

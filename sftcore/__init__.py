"""Supervised fine-tuning as a reproducible pipeline."""

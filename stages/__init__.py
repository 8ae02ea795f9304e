"""The DVC stages, each a thin script."""

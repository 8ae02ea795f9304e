"""Single-label classification: one of C classes."""

"""A finished model: predictions, numbers with intervals, figures."""

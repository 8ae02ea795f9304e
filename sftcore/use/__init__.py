"""A finished model in use: rules for its probabilities, predictions for anybody's files."""

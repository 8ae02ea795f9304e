"""What each DVC stage does: where parameters meet the engine."""

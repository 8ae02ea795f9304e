"""What everything stands on; it knows no parameter and no task."""

"""What a user can run to see for themselves that runs are reproducible and lose nothing."""

"""One or several numbers for each row."""

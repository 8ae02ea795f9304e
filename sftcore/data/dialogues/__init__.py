"""What only dialogues have: turns, decoding, likeness, names of columns."""

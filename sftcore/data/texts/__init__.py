"""What only texts have: decoding, fingerprints, likeness, files."""

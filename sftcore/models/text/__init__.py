"""Text encoders of transformers: their files, their segments, their tokens."""

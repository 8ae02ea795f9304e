"""What is to be predicted: one class, a set of labels, or numbers."""

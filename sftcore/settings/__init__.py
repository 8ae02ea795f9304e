"""The typed tree of params.yaml, and how it is read."""

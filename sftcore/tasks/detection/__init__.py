"""Boxes around things, each of a class: object detection."""

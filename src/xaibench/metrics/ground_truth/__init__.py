"""Metrics with a known right answer."""

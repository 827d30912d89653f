"""Robustness and randomisation metrics."""

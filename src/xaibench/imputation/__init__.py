"""Fills: what replaces removed pixels."""

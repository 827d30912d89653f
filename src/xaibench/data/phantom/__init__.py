"""Synthetic fundus images with known vessel radii."""

"""Fundus images with vessel labels."""

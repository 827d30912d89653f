"""Measurements on vessels: caliber, segments, contrast and vesselness."""

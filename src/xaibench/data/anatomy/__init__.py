"""What is measured of vessels in an image: caliber, segments, contrast and vesselness."""

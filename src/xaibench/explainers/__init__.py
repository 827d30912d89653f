"""Explanation methods: ``(scorer, image, *, rng, **parameters) -> (H, W)`` attribution; one file per family."""

"""The founding paper's claims and their verdicts."""

"""The founding paper's claims, judged by the numbers of a run."""

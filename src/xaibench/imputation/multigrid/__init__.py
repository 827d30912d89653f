"""Linear imputation by a multigrid solver."""

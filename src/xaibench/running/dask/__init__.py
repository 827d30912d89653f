"""Computing on worker processes with Dask."""

"""Guards around plugins: state snapshots, timeouts and memory limits."""

"""Statistics on arrays: ranks, tests, intervals and metric quality."""

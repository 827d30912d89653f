"""Statistics of leaderboards: rank tests, bootstrap intervals, critical difference, metric quality."""

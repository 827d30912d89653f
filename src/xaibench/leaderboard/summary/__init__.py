"""The leaderboard in sentences."""

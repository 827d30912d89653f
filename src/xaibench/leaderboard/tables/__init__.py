"""Leaderboards and verdicts as tables in every output format."""

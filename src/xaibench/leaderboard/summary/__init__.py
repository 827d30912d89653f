"""Leaderboards in sentences."""

"""Searches for a network: one search from start to table, its workers and its engines."""

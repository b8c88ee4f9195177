"""Guesses about records that nobody has described."""

"""Versions: what made them, how they differ, and which of them readers get."""

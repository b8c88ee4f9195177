"""Searches: queries to vectors, what narrows and ranks, recommendations, and all of it in SQL."""

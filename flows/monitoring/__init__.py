"""Monitors at work: what they are given, what their series makes of it, what is kept of a run."""

"""Monitors: pure functions that compare two samples of vectors. See `flows.monitors.base`."""

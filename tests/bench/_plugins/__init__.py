"""Encoders for the benchmarks alone; found by their files, as any other is."""

"""Encoders: batches of records in, float matrices out. See `encoders.base`."""

"""Vectors in training code: what `flows.use` hands out."""

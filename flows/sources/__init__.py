"""Sources: where records come from. See `flows.sources.base`."""

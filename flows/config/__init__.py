"""The configuration: read, checked, written into, and the places that it names."""

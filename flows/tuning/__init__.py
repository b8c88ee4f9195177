"""How fast encoders are with other settings on this machine."""

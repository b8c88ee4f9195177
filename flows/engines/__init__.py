"""What carries out the steps of a run: this process, or workers on a Ray cluster."""

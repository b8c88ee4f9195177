"""From raw records to published vectors: sources, monitors, the pipeline and its command line."""

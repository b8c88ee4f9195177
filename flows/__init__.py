"""From raw records to published vectors: sources, monitors, the pipeline and its command line."""

from flows.session import Session, connect

__all__ = ["Session", "connect"]

"""Who is told of findings, and how."""

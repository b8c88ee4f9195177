"""Reports on features: gathered as plain values, shown as a page, JSON, Markdown and metrics."""

"""One verb per file: what Tidegate does, each owning its transactions."""

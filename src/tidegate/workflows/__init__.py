"""What Tidegate does: one verb per file, in a folder of each domain; each owns its transactions."""

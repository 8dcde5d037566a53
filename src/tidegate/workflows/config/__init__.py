"""Workflows of tidegate.yaml: read, held against the hub, applied, written out."""

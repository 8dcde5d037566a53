"""Workflows of contacts: listed, made, matched, merged, reviewed, forgotten."""

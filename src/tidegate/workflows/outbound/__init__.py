"""Workflows of outbound: sources and models, syncs planned, run, settled and taken back."""

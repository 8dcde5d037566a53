"""Workflows of the lifecycle: stages, segments, health and alerts kept in step, actions fired, rules changed."""

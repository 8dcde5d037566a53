"""Workflows of revenue: kept in step, explained, its policy tried and adopted."""

"""Pages of destinations and of what they are sent."""

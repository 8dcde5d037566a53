"""Workflows of delivery: what is due to destinations, and destinations as people handle them."""

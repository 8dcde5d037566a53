"""Workflows of the demo: a simulated company, its own side, and what is proven of them."""

"""The pages of outbound: sources, models and syncs, plans and runs."""

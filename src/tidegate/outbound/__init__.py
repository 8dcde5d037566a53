"""Rows of a warehouse written to Stripe: sources, models, field maps, plans, and requests that are sent once."""

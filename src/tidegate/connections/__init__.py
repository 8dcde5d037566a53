"""A Stripe account: its credentials, permissions, runs and problems."""

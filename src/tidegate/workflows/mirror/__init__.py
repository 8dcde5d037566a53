"""Workflows of the mirror: an account connected, imported, kept current, compared with Stripe."""

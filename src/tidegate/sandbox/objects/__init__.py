"""Builders of Stripe's objects as plain dictionaries, every field present, by family."""

"""Workflows of selling: a contact's subscription started, changed and ended in Stripe."""

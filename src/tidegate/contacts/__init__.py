"""Contacts: who every Stripe customer is to you, and how that is known."""

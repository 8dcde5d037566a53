"""Requests to Stripe: written down before they are sent, sent once, and their outcome written down."""

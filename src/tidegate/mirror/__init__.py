"""The local copy of a connection's Stripe objects, and the one way into it."""

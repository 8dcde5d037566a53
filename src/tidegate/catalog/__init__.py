"""The catalog: features, packages and their versions, and what every Stripe price means."""

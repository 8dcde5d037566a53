"""Pages that connect Stripe accounts and import them."""

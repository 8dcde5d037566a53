"""What a run would do: every row held against what Stripe has and what was sent last. Pure."""

"""The HTTP API: problem+json for every error, bearer tokens, one file per noun, and Stripe's webhooks."""

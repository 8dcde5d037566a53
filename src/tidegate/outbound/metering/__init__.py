"""Usage told to Stripe: meter events, which can be made and never changed, and which Stripe lists nowhere."""

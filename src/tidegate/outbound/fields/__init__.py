"""What may be written to Stripe: the fields of each resource, their types, and the rules that types do not tell."""

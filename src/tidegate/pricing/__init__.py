"""What a subscription is worth a month: pure arithmetic over what Stripe tells, under a policy, step by step."""

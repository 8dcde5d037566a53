"""How Tidegate speaks to Stripe: requests within a shared rate budget, resources, shapes, webhook signatures."""

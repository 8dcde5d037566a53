"""Workflows of the catalog: suggested, changed with a preview, created in Stripe."""

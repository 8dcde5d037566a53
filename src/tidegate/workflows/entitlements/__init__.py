"""Workflows of entitlements and usage: asked, explained, consumed, told to Stripe's meters."""

"""Entitlements: what a contact may use now, how much of it, and why."""

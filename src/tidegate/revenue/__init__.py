"""Recurring revenue: what subscriptions were worth over time, how that moved, and what was billed."""

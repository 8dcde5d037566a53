"""Billing events: what happened to money and to subscriptions, worked out of invoices, payments and history (pure)."""

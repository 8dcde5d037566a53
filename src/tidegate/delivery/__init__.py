"""Delivery: what changed is an outbox row, written with the change."""

"""Tolerant structs of Stripe's objects, one per object, in one shape for every API version."""

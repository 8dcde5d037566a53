"""The write side of Stripe's API: one file per noun, each with its rows of the table of writes."""

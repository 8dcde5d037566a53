"""Tidegate: the two-way subscription hub for Stripe."""

from importlib.metadata import PackageNotFoundError, version

try:
    __version__ = version("tidegate")
except PackageNotFoundError:
    __version__ = "0+unknown"

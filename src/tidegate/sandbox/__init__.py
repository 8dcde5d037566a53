"""A stateful stand-in for Stripe's API, with a generator of a software company's history."""

from tidegate.sandbox.config import DEFAULT_AS_OF, DEFAULT_KEY, SandboxConfig
from tidegate.sandbox.server import Sandbox, run

__all__ = ["DEFAULT_AS_OF", "DEFAULT_KEY", "Sandbox", "SandboxConfig", "run"]

"""`python -m tidegate.sandbox`: a sandbox as a process of its own."""

import argparse
import sys

from tidegate.errors import TidegateError, outcome
from tidegate.sandbox.config import SandboxConfig
from tidegate.sandbox.server import run


def say(line: str) -> None:
    """Prints a line at once, also into a pipe."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def main() -> int:
    """Reads the options, serves until interrupted and returns the exit code."""
    defaults = SandboxConfig()
    parser = argparse.ArgumentParser(prog="python -m tidegate.sandbox", description=__doc__)
    parser.add_argument("--port", type=int, default=12111)
    for name in ("customers", "months", "seed", "subscriptions", "invoices", "connected"):
        parser.add_argument(f"--{name}", type=int, default=getattr(defaults, name))
    parser.add_argument("--lines-per-invoice", type=int, default=defaults.lines_per_invoice)
    parser.add_argument("--as-of", type=int, default=defaults.as_of, help="UTC epoch seconds at which the clock stands")
    parser.add_argument("--latency", type=float, default=0.0, help="seconds before every answer")
    parser.add_argument("--rate", type=float, help="requests a second in all")
    parser.add_argument("--endpoint-rate", type=float, help="requests a second per endpoint")
    parser.add_argument("--faults", default="", help="429=0.05,500=0.02,reset=0.01,truncate=0.01,slow=0.01")
    parser.add_argument("--profile", choices=("company", "bulk"), default="company")
    parser.add_argument("--events-version", default=defaults.events_version, help="API version of /v1/events")
    parser.add_argument("--livemode", action="store_true", help="a live account")
    parser.add_argument("--not-activated", dest="activated", action="store_false", help="cannot take payments yet")
    options = vars(parser.parse_args())
    try:
        run(SandboxConfig(**options), say)
    except TidegateError as error:
        sys.stderr.write(f"{error}\n")
        return outcome(error)[0]
    return 0


if __name__ == "__main__":
    sys.exit(main())

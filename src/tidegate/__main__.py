"""The program `tidegate`, also as `python -m tidegate`."""

import sys


def main() -> None:
    """Runs the command line and ends the process with its exit code, interrupted while it still loads as well."""
    try:
        from tidegate.cli import main as run

        run()
    except KeyboardInterrupt:
        sys.exit(130)


if __name__ == "__main__":
    main()

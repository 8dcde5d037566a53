"""Runs the program: the one place where errors become a line on stderr (or a JSON document) and an exit code."""

import logging
import sys
import traceback
from collections.abc import Sequence
from typing import Any, NamedTuple

from typer import Exit
from typer.core import TyperGroup
from typer.exceptions import TyperException

from tidegate.errors import ConfigurationError, DatabaseBusy, TextInvalid, TidegateError, UsageError, outcome

INTERRUPTED = 130
"""128 + SIGINT, as a shell counts it; SIGTERM and SIGHUP end with 143 and 129."""


class Failure(NamedTuple):
    """An error as the caller sees it."""

    type: str
    message: str
    code: int


class Program(TyperGroup):
    """The root of all commands. Exit codes: 0 done, 1 something is wrong, 2 usage or configuration, 3 out of reach or
    the key refused.
    """

    def main(
        self,
        args: Sequence[str] | None = None,
        prog_name: str | None = None,
        complete_var: str | None = None,
        standalone_mode: bool = True,
        windows_expand_args: bool = True,
        **extra: Any,
    ) -> Any:
        """Runs a command line and ends the process with its exit code."""
        given = list(sys.argv[1:] if args is None else args)
        as_json = wants_json(given)
        try:
            ended = super().main(given, prog_name, complete_var, not as_json, windows_expand_args, **extra)
        except (SystemExit, Exit):
            raise
        except BaseException as error:
            failure = failure_of(error)
            say_failure(failure, as_json)
            sys.exit(failure.code)
        sys.exit(ended if isinstance(ended, int) else 0)


def wants_json(args: Sequence[str]) -> bool:
    """Whether `--json` is among the options; known before they are parsed, so that a wrong option is told in JSON."""
    options = args[: args.index("--")] if "--" in args else args
    return "--json" in options


def failure_of(error: BaseException) -> Failure:
    """What to tell of an error: its own words, or for an unexpected one its type, text and where to look."""
    known = as_ours(error)
    if known is not None:
        return Failure(type(known).__name__, str(known), outcome(known)[0])
    if isinstance(error, TyperException):
        return Failure(UsageError.__name__, error.format_message(), 2)
    if isinstance(error, KeyboardInterrupt):
        return Failure("Interrupted", "interrupted", INTERRUPTED)
    if logging.getLogger().isEnabledFor(logging.DEBUG):
        traceback.print_exception(error, file=sys.stderr)
    detail = " ".join(_told(error).split())[:500]
    hint = "This is a fault of Tidegate; TIDEGATE_LOG_LEVEL=DEBUG shows where it happened."
    return Failure(type(error).__name__, f"{type(error).__name__}: {detail or 'no message'}. {hint}", 1)


def _told(error: BaseException) -> str:
    """The error's text; of the database's without the statement and its parameters."""
    if "sqlalchemy" not in sys.modules:
        return str(error)
    from tidegate.store.trouble import told

    return told(error)


def as_ours(error: BaseException) -> TidegateError | None:
    """The error as one of Tidegate's; None when it is none and was not foreseen."""
    if isinstance(error, TidegateError):
        return error
    return _wrong_setting(error) or _of_the_database(error)


def _wrong_setting(error: BaseException) -> ConfigurationError | None:
    """A setting that cannot be read, named without its value, which may be a secret."""
    if "pydantic" not in sys.modules:
        return None
    from pydantic import ValidationError

    from tidegate.settings import Settings, variable

    if not isinstance(error, ValidationError) or error.title != "Settings":
        return None
    wrong: list[str] = []
    for one in error.errors(include_input=False):
        name = str(one["loc"][0])
        wrong.append(f"{variable(name) if name in Settings.model_fields else name}: {one['msg']}")
    return ConfigurationError(problem=f"The environment has a setting that cannot be used. {'; '.join(wrong)}.")


def _of_the_database(error: BaseException) -> TidegateError | None:
    if "sqlalchemy" not in sys.modules:
        return None
    from sqlalchemy.exc import OperationalError

    from tidegate.cli.lost import lost
    from tidegate.settings import settings
    from tidegate.store.trouble import held_by_others, told, was_given_nul

    if was_given_nul(error):
        return TextInvalid()
    if not isinstance(error, OperationalError):
        return None
    if held_by_others(error):
        return DatabaseBusy(what="what the command changes", problem=told(error), tries=1)
    never_answered = getattr(error.orig, "sqlstate", None) is None  # a connection that was refused has no SQLSTATE
    disk_full = getattr(error.orig, "sqlstate", None) == "53100"
    if not error.connection_invalidated and not never_answered and not disk_full:
        return None
    return lost(settings(), str(error.orig).strip().splitlines()[0].rstrip("."))


def say_failure(failure: Failure, as_json: bool) -> None:
    """`error: …` on stderr, or the document {"error": {"type", "message"}} on stdout."""
    if as_json:
        from tidegate.cli.show import document

        document({"error": {"type": failure.type, "message": failure.message}})
    else:
        sys.stderr.write(f"error: {failure.message}\n")

"""Opens the hub for a command, such that every way of ending the command leaves the embedded database well."""

import logging
import signal
import threading
from collections.abc import Generator
from contextlib import contextmanager
from types import FrameType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sqlalchemy import Engine

    from tidegate.settings import Settings
    from tidegate.wiring import Hub
    from tidegate.workflows.operation.migrate import Migrated


def configured() -> "Settings":
    """The settings, with the log set up as they say. Raises pydantic's ValidationError, which `run` explains."""
    from tidegate.cli.log import set_up
    from tidegate.errors import ConfigurationError
    from tidegate.settings import settings

    config = settings()
    level = logging.getLevelNamesMapping().get(config.log_level.upper())
    if level is None:
        raise ConfigurationError(
            problem=f"TIDEGATE_LOG_LEVEL is {config.log_level!r}: use DEBUG, INFO, WARNING or ERROR."
        )
    set_up(level)
    return config


@contextmanager
def opened(*, may_migrate: bool = False, pool_size: int = 8) -> Generator["Hub"]:
    """The hub. A command that only reads refuses a foreign database whose schema is old; one that writes mends it."""
    config = configured()
    from tidegate.store.embedded import exit_on_signals
    from tidegate.wiring import open_hub

    if threading.current_thread() is threading.main_thread():
        exit_on_signals()
    with open_hub(config, pool_size=pool_size, application="tidegate cli", may_migrate=may_migrate) as hub:
        yield hub


class Stop:
    """Whether SIGINT or SIGTERM asked to stop: `event` is set, `signal` says by which (0: none).

    The first one asks, a second SIGINT interrupts at once.
    """

    def __init__(self) -> None:
        self.event = threading.Event()
        self.signal = 0

    @property
    def exit_code(self) -> int:
        """128 + the signal's number."""
        return 128 + self.signal


@contextmanager
def stopping(note: str) -> Generator[Stop]:
    """Within the block SIGINT and SIGTERM set the event instead of interrupting; `note`, if any, is said on stderr."""
    from tidegate.cli.show import remark

    stop = Stop()

    def ask(number: int, _frame: FrameType | None) -> None:
        if stop.signal and number == signal.SIGINT:
            raise KeyboardInterrupt
        stop.signal = number
        stop.event.set()
        if note:
            remark(note)

    before = {number: signal.signal(number, ask) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def unmigrated(application: str) -> "Generator[tuple[Engine, Settings]]":
    """The database as it is, whatever its schema, and the settings."""
    config = configured()
    from tidegate.store.embedded import Embedded, exit_on_signals
    from tidegate.store.engine import open_engine

    exit_on_signals()
    server = Embedded(config.home).start() if config.embedded else None
    engine = open_engine(server.url() if server else config.database_url, pool_size=4, application=application)
    try:
        yield engine, config
    finally:
        engine.dispose()
        if server:
            server.stop()


def migrated() -> "Migrated":
    """Migrates the database and says what that did. Raises the errors of `workflows.operation.migrate`."""
    from tidegate.workflows.operation.migrate import migrate

    with unmigrated("tidegate migrate") as (engine, _):
        return migrate(engine)

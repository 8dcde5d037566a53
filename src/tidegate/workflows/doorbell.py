"""Rings for background work: a job says "look at this connection", inside the transaction that made the work.

The doorbell is not the truth: what is to be done stands in our own tables (inbox, refetches, runs), a job only says
where to look, and every handler may run twice. So a ring that finds another one waiting is as good as answered.
"""

import json
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple

from sqlalchemy import Connection, Engine, text
from sqlalchemy.exc import OperationalError

from tidegate.store import engine as store_engine

if TYPE_CHECKING:
    from procrastinate import App
    from procrastinate.jobs import JobDeferrer

PROMPT = "prompt"
"""Queue of work that takes seconds and asks nothing of Stripe: events are applied however slow Stripe is."""
FETCH = "fetch"
"""Queue of work that waits for Stripe, for minutes at most."""
IMPORT = "import"
"""Queue of work that may take hours; it never takes the last place of the other queues."""


class Bell(NamedTuple):
    """How a task is queued. In the locks, `{connection}` stands for the connection's name, `{sync}` for the sync's, and
    `{line}` for what jobs follow each other in, which is the connection unless a ring says otherwise.

    `queueing_lock`: at most one such job waits. `lock`: at most one such job runs.
    """

    queue: str
    queueing_lock: str
    lock: str | None = None
    priority: int = 0


BELLS: dict[str, Bell] = {
    "import_account": Bell(IMPORT, "import_account:{connection}", lock="import_account:{connection}"),
    # Behind a ring by hand: a job that waits for its time would otherwise hold back later ones of the same lock.
    "import_again": Bell(IMPORT, "import_again:{connection}", lock="import_account:{connection}", priority=-1),
    "audit": Bell(IMPORT, "audit:{connection}", lock="audit:{connection}", priority=-1),
    "sweep": Bell(IMPORT, "sweep:{connection}", lock="sweep:{connection}", priority=-1),
    "drain": Bell(PROMPT, "drain:{connection}"),
    "refresh": Bell(PROMPT, "refresh:{connection}", lock="refresh:{connection}"),
    "refetch": Bell(FETCH, "refetch:{connection}", lock="refetch:{connection}"),
    "catch_up": Bell(FETCH, "catch_up:{connection}", lock="catch_up:{connection}"),
    "probe": Bell(FETCH, "probe:{connection}", lock="probe:{connection}"),
    # One after the other on a connection: two would write to one customer at a time, which Stripe refuses.
    "run_sync": Bell(IMPORT, "run_sync:{sync}", lock="run_sync:{line}"),
    "revert_sync": Bell(IMPORT, "revert_sync:{run}", lock="run_sync:{line}"),
    "forward_usage": Bell(FETCH, "forward_usage:{connection}", lock="forward_usage:{connection}"),
    # One process has enough places for all destinations, each of which is sent many requests at a time.
    "deliver": Bell(FETCH, "deliver", lock="deliver"),
    "deliver_again": Bell(FETCH, "deliver_again", lock="deliver", priority=-1),
    "fan_out": Bell(FETCH, "fan_out:{connection}", lock="fan_out:{connection}"),
}


IMPORTS = ("import_account", "import_again")
"""Tasks of which one that waits does what another ring asks for as well."""


@dataclass(frozen=True, slots=True)
class Doorbell:
    """Rings on the database of `engine`; holds no connection of its own."""

    engine: Engine

    def prepare(self) -> None:
        """Loads what ringing needs, so that not the first ring takes a fifth of a second."""
        _app()

    def ring(
        self,
        task: str,
        *,
        connection: str,
        db: Connection | None = None,
        delay: int = 0,
        line: str = "",
        **arguments: Any,
    ) -> bool:
        """Queues a task of `BELLS` for a connection and returns true, or false when such a job waits already; that one
        then does what both ask for (`_merge`).

        With `db` the job belongs to the caller's transaction: it exists when that commits, and the transaction stays
        sound when there was one already. Ring last in a transaction: until it ends, others that ring for the same wait.
        `delay` in seconds; `line`: what jobs of a lock follow each other in, if not the connection; `arguments` must be
        JSON. Raises DatabaseUnreachable.
        """
        if db is not None:
            return _ring(db, task, connection, line or connection, delay, arguments)
        try:
            with self.engine.begin() as own:
                return _ring(own, task, connection, line or connection, delay, arguments)
        except OperationalError as error:
            raise store_engine.unreachable(self.engine, error) from error


def waits(db: Connection, task: str, connection: str) -> bool:
    """Whether a job of a task waits for a worker to take it up."""
    lock = BELLS[task].queueing_lock.format(connection=connection)
    query = text("select exists (select from procrastinate_jobs where queueing_lock = :lock and status = 'todo')")
    return bool(db.scalar(query, {"lock": lock}))


def _ring(db: Connection, task: str, connection: str, line: str, delay: int, arguments: dict[str, Any]) -> bool:
    from procrastinate.exceptions import AlreadyEnqueued

    bell = BELLS[task]
    queueing_lock = bell.queueing_lock.format(connection=connection, **arguments)
    while not _hold_back(db, queueing_lock):  # looked at first: a job refused is an error in the server's log
        try:
            with db.begin_nested():
                _job(db, task, queueing_lock, _lock(bell, connection, line), delay).defer(
                    connection=connection, **arguments
                )
            return True
        except AlreadyEnqueued:
            continue  # another transaction was faster
    if task in IMPORTS:
        _merge(db, queueing_lock, arguments)
    return False


def _lock(bell: Bell, connection: str, line: str) -> str | None:
    return bell.lock.format(connection=connection, line=line) if bell.lock else None


def _job(db: Connection, task: str, queueing_lock: str, lock: str | None, delay: int) -> "JobDeferrer":
    bell = BELLS[task]
    return _app().configure_task(
        task,
        queue=bell.queue,
        lock=lock,
        queueing_lock=queueing_lock,
        priority=bell.priority,
        schedule_in={"seconds": delay} if delay else None,
        connection=db.connection.driver_connection,
    )


def _hold_back(db: Connection, queueing_lock: str) -> bool:
    """Keeps the job that waits already from starting before this transaction ends; false when it has just started.

    Else it could look, find nothing, and end before the work that this transaction makes can be seen. Procrastinate
    takes jobs with SKIP LOCKED; several transactions may hold one back.
    """
    found = db.execute(
        text("select id from procrastinate_jobs where queueing_lock = :lock and status = 'todo' for key share"),
        {"lock": queueing_lock},
    )
    return found.first() is not None


def _merge(db: Connection, queueing_lock: str, arguments: dict[str, Any]) -> None:
    """Lets the import that waits do what another ring asks for as well: `full` when either is, the `resources` of both
    (none named: all). Other tasks ask for the same every time.
    """
    db.execute(
        text("""
update procrastinate_jobs j set args = j.args || jsonb_build_object(
  'full', coalesce((j.args -> 'full')::boolean, false) or :full,
  'resources', case when named.before = '[]' or named.more = '[]' then '[]' else (
    select jsonb_agg(distinct name) from jsonb_array_elements_text(named.before || named.more) name) end)
from (select coalesce(args -> 'resources', '[]') as before, cast(:resources as jsonb) as more
      from procrastinate_jobs where queueing_lock = :lock and status = 'todo') named
where j.queueing_lock = :lock and j.status = 'todo'"""),
        {
            "lock": queueing_lock,
            "full": bool(arguments.get("full")),
            "resources": json.dumps(list(arguments.get("resources") or ())),
        },
    )


@lru_cache(maxsize=1)
def _app() -> "App":
    """Without tasks and never opened: it writes through the connections that it is handed."""
    from procrastinate import App, SyncPsycopgConnector

    return App(connector=SyncPsycopgConnector())

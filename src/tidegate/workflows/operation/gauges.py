"""What monitoring watches, read from the database, where the truth of all processes is. No figure names a person."""

from collections.abc import Iterator
from typing import NamedTuple

from sqlalchemy import Connection, text


class Gauge(NamedTuple):
    """A figure: its name, what it means, the names of its labels, and its values by those of the labels."""

    name: str
    means: str
    labels: tuple[str, ...]
    values: list[tuple[tuple[str, ...], float]]


_GAUGES: tuple[tuple[str, str, tuple[str, ...], str], ...] = (
    (
        "inbox_events",
        "Stripe's events that wait to be handled, or are parked for a person.",
        ("connection", "state"),
        """
select c.name, s.state, (select count(*) from tidegate.inbox i where i.connection = c.name and i.state = s.state)
from tidegate.connections c, (values ('waiting'), ('parked')) s (state)""",
    ),
    (
        "inbox_oldest_seconds",
        "How long the oldest event that waits has been waiting; 0: none waits.",
        ("connection",),
        """
select c.name, coalesce((select extract(epoch from now() - min(received_at)) from tidegate.inbox i
  where i.connection = c.name and i.state = 'waiting'), 0)
from tidegate.connections c""",
    ),
    (
        "connection_caught_up_seconds",
        "How long ago Stripe's events were read to their end.",
        ("connection",),
        """
select name, extract(epoch from now() - caught_up_at) from tidegate.connections
where disconnected_at is null and caught_up_at is not null""",
    ),
    (
        "webhook_age_seconds",
        "How long ago the last webhook came.",
        ("connection",),
        """
select name, extract(epoch from now() - last_webhook_at) from tidegate.connections
where disconnected_at is null and last_webhook_at is not null""",
    ),
    (
        "workers",
        "Workers that are alive.",
        (),
        "select count(*) from tidegate.procrastinate_workers where last_heartbeat > now() - interval '1 minute'",
    ),
    (
        "jobs",
        "Background tasks that wait, run, or failed and are still kept.",
        ("task", "status"),
        """
select task_name, status::text, count(*) from tidegate.procrastinate_jobs
where status in ('todo', 'doing', 'failed') group by 1, 2""",
    ),
    (
        "runs",
        "Imports, syncs and other runs that are under way.",
        ("connection", "kind"),
        "select connection, kind, count(*) from tidegate.runs where state = 'running' group by 1, 2",
    ),
    (
        "import_age_seconds",
        "How long ago the last import ended well.",
        ("connection",),
        """
select connection, extract(epoch from now() - max(finished_at)) from tidegate.runs
where kind = 'import' and state = 'done' group by 1""",
    ),
    (
        "deliveries",
        "Messages that wait for a destination, or that it never took.",
        ("destination", "state"),
        """
select destination, state, count(*) from tidegate.deliveries where state in ('waiting', 'dead') group by 1, 2""",
    ),
    (
        "requests_unsettled",
        "Requests of syncs to Stripe that were not sent yet, or whose outcome is not known.",
        ("state",),
        "select state, count(*) from tidegate.requests where state in ('intended', 'unknown') group by 1",
    ),
    (
        "stripe_slowed_seconds",
        "How long ago Stripe said to be slower (429), by limit; an empty endpoint: of the whole connection.",
        ("connection", "endpoint"),
        """
select connection, endpoint, extract(epoch from now() - slowed_at) from tidegate.rate_budget
where slowed_at > now() - interval '1 day'""",
    ),
    (
        "alerts",
        "Alerts that are open.",
        ("rule",),
        "select rule, count(*) from tidegate.alerts where state = 'open' group by 1",
    ),
    (
        "database_bytes",
        "Size of the database.",
        (),
        "select pg_database_size(current_database())",
    ),
)


def read(db: Connection) -> Iterator[Gauge]:
    """Every figure."""
    for name, means, labels, sql in _GAUGES:
        rows = [tuple(row) for row in db.execute(text(sql))]
        yield Gauge(name, means, labels, [(tuple(map(str, row[:-1])), float(row[-1])) for row in rows])

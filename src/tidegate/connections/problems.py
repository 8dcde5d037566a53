"""What is wrong with a connection: since when, and what to do about it."""

from collections.abc import Generator, Sequence
from contextlib import contextmanager
from typing import Any

from sqlalchemy import Connection, Engine, text

from tidegate.errors import (
    StripeAccessRevoked,
    StripeKeyInvalid,
    StripeModeWrong,
    StripePermissionMissing,
    StripeUnreachable,
    TidegateError,
)

REMEDIES: dict[str, str] = {
    "key_invalid": "Make a new key in Stripe's dashboard and run `tidegate connect --name {connection}` with it.",
    "account_gone": "The account's owner has to connect it to the platform again; the next look at the platform's "
    "accounts finds it. `tidegate disconnect {connection}` takes it as it is, with `--purge` deletes its data, too.",
    "oauth_revoked": "Let the account's owner give access again: to your Stripe App on the page under Connect, to your "
    "platform in Stripe's Connect; the next look at Stripe clears this. `tidegate disconnect {connection}` gives the "
    "account up and keeps its data.",
    "mode_wrong": "Look at the key and the API base of the connection, and run `tidegate connect --name {connection}` "
    "with the right ones.",
    "account_not_activated": "Complete the account's details under Settings, Business in Stripe's dashboard. The next "
    "`account.updated` event or import clears this.",
    "permission_missing": "Give the restricted key the permission named here in Stripe's dashboard, or make a new one "
    "with all of them (`tidegate connect --show-key-link` has the link) and run "
    "`tidegate connect --name {connection}`; the next look at Stripe clears this, and what was not read is imported by "
    "itself.",
    "unreachable": "Check the network; work goes on by itself when Stripe answers again.",
    "webhook_silent": "Look in Stripe's dashboard under Developers, Webhooks: the endpoint must exist, be enabled, "
    "send all events to `https://YOUR-HOST/api/webhooks/stripe/{connection}`, and have the signing secret that "
    "`tidegate connect --name {connection} --webhook-secret -` was given. The next webhook clears this.",
    "not_imported": "Run `tidegate import --connection {connection}`.",
    "import_incomplete": "Mend what is named, if it is no passing trouble, and run "
    "`tidegate import --connection {connection}`; one that was interrupted goes on from where it stopped.",
    "events_lost": "Stripe keeps events for 30 days only. Run `tidegate import --full --connection {connection}`, "
    "which reads everything again.",
    "inbox_parked": "`tidegate inbox list --connection {connection}` shows them and why; `tidegate inbox replay` "
    "tries them again, `discard` gives them up.",
    "refetch_failing": "They are tried again by themselves, at least every hour. Mend what the error names; until "
    "then the objects are as the last event told them.",
    "behind": "Start a worker (`tidegate serve` or `tidegate worker`), or run "
    "`tidegate catch-up --connection {connection}`.",
    "audit_failed": "`tidegate import --full --connection {connection}` reads everything again; then `tidegate audit`.",
    "audit_incomplete": "Mend what is named (a permission: give it to the key in Stripe's dashboard); then "
    "`tidegate audit --connection {connection}` compares that, too. What was compared is equal.",
    "queue_old": "No worker takes the work: start one with `tidegate worker`, or look at its log.",
    "no_worker": "Start one: `tidegate serve` brings its own, else `tidegate worker`.",
    "sync_failed": "Mend what is named, and run `tidegate sync run {subject}`; the next run that comes to its end "
    "clears this.",
    "sync_invalid": "It does not run until it is defined anew: mend what is named in tidegate.yaml and run "
    "`tidegate config apply`, or POST it to /api/syncs; DELETE /api/syncs/{subject} gives it up.",
    "sync_rows_failed": "`tidegate sync show {subject}` names the rows and what is wrong with each. Mend them in the "
    "warehouse, or the field map; every run tries them again.",
    "sync_late": "Start a worker (`tidegate serve` or `tidegate worker`); where one works, see with "
    "`tidegate sync runs {subject}` what it does instead.",
    "sync_slow": "`tidegate sync runs {subject}` shows how far it is. Where its rows need the time, let the "
    "sync's `alerts` allow it (`longest`, in minutes); a limit of your own is raised with `tidegate connect --rate`.",
    "sync_unfinished": "A draft is finished once every sync of items went through all of its rows since it was made, "
    "and all of its items passed. Run the syncs named whole (`tidegate sync run NAME`, without --limit and --only); "
    "`tidegate sync show NAME` names items that did not pass. What is to have no item, finish in Stripe.",
    "usage_failed": "`tidegate usage list --state failed` (or `unknown`) names the debits and why. Mend what is named "
    "and run `tidegate usage retry`, or give them up with `tidegate usage discard`.",
    "usage_late": "Mend what is named; a worker (`tidegate serve` or `tidegate worker`) then tells them by itself. "
    "`tidegate usage list` shows them; Stripe takes usage of the past 35 days.",
    "outbound_paused": "`tidegate resume outbound` lets it run.",
    "destination_paused": "Mend what is named and run `tidegate destinations resume {subject}`; what was told since "
    "is sent then, in its order.",
    "destination_failing": "It is tried again by itself, at least every hour. `tidegate destinations test {subject}` "
    "tries it now.",
    "dead_letters": "`tidegate destinations dead {subject}` shows them and why; `tidegate destinations replay "
    "{subject}` sends them again.",
    "action_unusable": "It does nothing until that is mended, and then what it missed: write it anew in tidegate.yaml, "
    "or `tidegate actions disable {subject}`.",
    "action_idle": "It is not set off by what is named. Switch that on or define it again in tidegate.yaml, name "
    "another, or `tidegate actions disable {subject}`.",
    "rates_missing": "`tidegate rates fetch` takes the European Central Bank's, every day by a job of yours; `tidegate "
    "rates import` those of a file. Nothing is guessed: conditions, health and segments know no worth until then.",
    "owner_idle": "Its rule gives it nobody by what is named. Define that again in tidegate.yaml, or name another in "
    "the owner's `when` (`tidegate owners put {subject} --when`).",
    "deliveries_late": "Start a worker (`tidegate serve` or `tidegate worker`); where one works, raise the limit of "
    "the destination (`rate`, `in_flight`).",
    "disk_low": "Make room, or set TIDEGATE_HOME to a larger file system and move the folder there.",
}
"""What to do, by code; every code that `status` shows is here."""

BY_ERROR: dict[type[TidegateError], str] = {
    StripeAccessRevoked: "oauth_revoked",
    StripeKeyInvalid: "key_invalid",
    StripeUnreachable: "unreachable",
    StripePermissionMissing: "permission_missing",
    StripeModeWrong: "mode_wrong",
}
"""The code of an error; the first row that fits holds."""

OF_ACCESS = ("key_invalid", "oauth_revoked", "unreachable", "mode_wrong")
"""What is over as soon as Stripe answers with data of the right mode."""
CUT_OFF = frozenset({"key_invalid", "oauth_revoked", "unreachable"})
"""With one of these nothing of Stripe reaches the connection."""

DEAUTHORIZED = "account.application.deauthorized"
"""The event by which Stripe tells a platform that an account took back its access."""

# What began after the events were lost, listed everything and looked at what is in no list any more, has read what they
# would have told.
ANSWERED = """
p.code = 'events_lost' and exists (
  select from tidegate.runs r where r.connection = p.connection and r.state = 'done' and r.started_at > p.since
  and (r.kind = 'sweep' or r.kind = 'import' and (r.options -> 'full')::boolean
    and coalesce(r.options -> 'resources', '[]') = '[]'))"""


def note(db: Connection, connection: str, code: str, detail: str, subject: str = "") -> None:
    """Notes a problem; one that is known already keeps its date."""
    db.execute(
        text("""
insert into tidegate.problems (connection, code, subject, detail) values (:connection, :code, :subject, :detail)
on conflict (connection, code, subject) do update set detail = excluded.detail"""),
        {"connection": connection, "code": code, "subject": subject, "detail": detail},
    )


def note_error(engine: Engine, connection: str, error: TidegateError, endpoint: str = "") -> None:
    """Notes what an error says about the connection as a whole; a permission under the endpoint that lacks it.

    `endpoint` names it where the error's own has an id in it, such as `GET /v1/products/{parent}/features`.
    """
    code = next((code for kind, code in BY_ERROR.items() if isinstance(error, kind)), None)
    if code:
        subject = (endpoint or str(error.facts.get("endpoint", ""))) if code == "permission_missing" else ""
        with engine.begin() as db:
            note(db, connection, code, str(error), subject)


def clear(db: Connection, connection: str, codes: Sequence[str], subject: str | None = None) -> None:
    """Forgets problems that are over; with a subject only its own."""
    db.execute(
        text("""
delete from tidegate.problems where connection = :connection and code = any(:codes)
  and (cast(:subject as text) is null or subject = :subject)"""),
        {"connection": connection, "codes": list(codes), "subject": subject},
    )


def clear_answered(db: Connection, connection: str) -> None:
    """Forgets lost events that an import has made good."""
    db.execute(text(f"delete from tidegate.problems p where p.connection = :c and {ANSWERED}"), {"c": connection})


def unanswered_gaps(db: Connection) -> list[tuple[str, Any]]:
    """Connections that lost events which no full import has made good, with the time since when."""
    rows = db.execute(
        text(f"""
select p.connection, p.since from tidegate.problems p join tidegate.connections c on c.name = p.connection
where p.code = 'events_lost' and c.disconnected_at is null and not ({ANSWERED}) order by 1""")
    )
    return [(row.connection, row.since) for row in rows]


def listing(db: Connection, connection: str) -> list[dict[str, Any]]:
    """The noted problems, each {code, subject, since, detail, remedy}."""
    rows = db.execute(
        text(f"""
select code, subject, since, detail from tidegate.problems p where connection = :c and not ({ANSWERED})
order by since, code, subject"""),
        {"c": connection},
    ).mappings()
    return [shown(connection, **row) for row in rows]


def shown(connection: str, code: str, since: Any, detail: str = "", subject: str = "") -> dict[str, Any]:
    """A problem as status shows it."""
    remedy = REMEDIES[code].format(connection=connection, subject=subject)
    return {"code": code, "subject": subject, "since": since, "detail": detail, "remedy": remedy}


def answered(engine: Engine, connection: str) -> None:
    """Forgets that Stripe could not be asked: it has just answered."""
    with engine.begin() as db:
        clear(db, connection, OF_ACCESS)


@contextmanager
def watched(engine: Engine, connection: str, endpoint: str = "") -> Generator[None]:
    """Notes that the key or Stripe fails when the block does, and forgets it when the block ends well.

    `endpoint`: what the block cannot end well without being allowed to read, such as `GET /v1/events`.
    """
    try:
        yield
    except TidegateError as error:
        note_error(engine, connection, error)
        raise
    answered(engine, connection)
    with engine.begin() as db:
        clear(db, connection, ["permission_missing"], endpoint)

"""What is wrong with a connection: since when, and what to do about it."""

from collections.abc import Generator, Sequence
from contextlib import contextmanager
from typing import Any

from sqlalchemy import Connection, Engine, text

from tidegate.errors import StripeKeyInvalid, StripePermissionMissing, StripeUnreachable, TidegateError

REMEDIES: dict[str, str] = {
    "key_invalid": "Make a new key in Stripe's dashboard and run `tidegate connect --name {connection}` with it.",
    "permission_missing": "Give the restricted key the permission named here in Stripe's dashboard, then run "
    "`tidegate import --connection {connection}`.",
    "unreachable": "Check the network; work goes on by itself when Stripe answers again.",
    "not_imported": "Run `tidegate import --connection {connection}`.",
    "import_incomplete": "Run `tidegate import --connection {connection}`: it goes on from where it stopped.",
    "inbox_parked": "`tidegate inbox list --connection {connection}` shows them and why; `tidegate inbox replay` "
    "tries them again, `discard` gives them up.",
    "behind": "Start a worker (`tidegate serve` or `tidegate worker`), or run "
    "`tidegate catch-up --connection {connection}`.",
    "audit_failed": "`tidegate import --connection {connection}` reads everything again; then `tidegate audit`.",
    "queue_old": "No worker takes the work: start one with `tidegate worker`, or look at its log.",
}
"""What to do, by code; every code that `status` shows is here."""

BY_ERROR: dict[type[TidegateError], str] = {
    StripeKeyInvalid: "key_invalid",
    StripeUnreachable: "unreachable",
    StripePermissionMissing: "permission_missing",
}


def note(db: Connection, connection: str, code: str, detail: str, subject: str = "") -> None:
    """Notes a problem; one that is known already keeps its date."""
    db.execute(
        text("""
insert into tidegate.problems (connection, code, subject, detail) values (:connection, :code, :subject, :detail)
on conflict (connection, code, subject) do update set detail = excluded.detail"""),
        {"connection": connection, "code": code, "subject": subject, "detail": detail},
    )


def clear(db: Connection, connection: str, codes: Sequence[str]) -> None:
    """Forgets problems that are over."""
    db.execute(
        text("delete from tidegate.problems where connection = :connection and code = any(:codes)"),
        {"connection": connection, "codes": list(codes)},
    )


def listing(db: Connection, connection: str) -> list[dict[str, Any]]:
    """The noted problems, each {code, subject, since, detail, remedy}."""
    rows = db.execute(
        text("select code, subject, since, detail from tidegate.problems where connection = :c order by since, code"),
        {"c": connection},
    ).mappings()
    return [shown(connection, **row) for row in rows]


def shown(connection: str, code: str, since: Any, detail: str = "", subject: str = "") -> dict[str, Any]:
    """A problem as status shows it."""
    remedy = REMEDIES[code].format(connection=connection)
    return {"code": code, "subject": subject, "since": since, "detail": detail, "remedy": remedy}


@contextmanager
def watched(engine: Engine, connection: str) -> Generator[None]:
    """Notes that the key or Stripe fails when the block does, and forgets it when the block ends well."""
    try:
        yield
    except TidegateError as error:
        code = next((code for kind, code in BY_ERROR.items() if isinstance(error, kind)), None)
        if code:
            with engine.begin() as db:
                note(db, connection, code, str(error))
        raise
    with engine.begin() as db:
        clear(db, connection, ["key_invalid", "unreachable"])

"""Everything that is wrong at the moment, noted or found in the tables: for `status` and for system alerts."""

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, RowMapping

from tidegate.connections import accounts, problems, runs
from tidegate.connections.accounts import Account
from tidegate.lifecycle.system_alerts import Fact
from tidegate.mirror import inbox, refetches
from tidegate.workflows.delivery import delivery_problems
from tidegate.workflows.entitlements import usage_problems
from tidegate.workflows.lifecycle import action_problems, owner_problems, rate_problems
from tidegate.workflows.operation import problems_found
from tidegate.workflows.operation.problems_found import Found, Queues, import_asked
from tidegate.workflows.outbound import sync_problems

SUBJECTS = {"no_worker": "worker", "disk_low": "disk", "rates_missing": "rates"}
"""What has no subject of its own and belongs to no connection."""


def queues_of(db: Connection, account: Account) -> Queues:
    """What of a connection waits for a worker."""
    return Queues(inbox.summary(db, account.name), refetches.summary(db, account.name), import_asked(db, account.name))


def of_account(
    db: Connection, account: Account, imports: Sequence[RowMapping], queues: Queues, poll_seconds: int
) -> list[dict[str, Any]]:
    """The noted problems of a connection and those that show in the tables, as `problems.shown`; of one that is
    disconnected only why, unless a person did it.
    """
    noted = problems.listing(db, account.name)
    if account.disconnected_at:
        return [one for one in noted if one["code"] == "account_gone"]
    found = problems_found.of_connection(db, account, imports, queues, poll_seconds)
    found += sync_problems.of_connection(db, account.name, datetime.now(UTC))
    found += usage_problems.of_connection(db, account.name, datetime.now(UTC))
    return [*noted, *_shown(account.name, found)]


def of_installation(db: Connection, waiting: Sequence[Queues], home: Path | None) -> list[dict[str, Any]]:
    """What is wrong for all connections. `home`: where the embedded database is; None: another one serves."""
    found = problems_found.of_installation(db, waiting, home)
    found += sync_problems.of_installation(db) + delivery_problems.of_installation(db)
    found += action_problems.of_installation(db) + owner_problems.of_installation(db)
    found += rate_problems.of_installation(db)
    return _shown("", found)


def facts(db: Connection, *, poll_seconds: int, home: Path | None) -> list[Fact]:
    """All of it, as system alerts take it."""
    found: list[Fact] = []
    waiting: list[Queues] = []
    for account in accounts.every(db):
        queues = queues_of(db, account)
        if account.disconnected_at is None:
            waiting.append(queues)
        those = of_account(db, account, runs.imports(db, account.name), queues, poll_seconds)
        found += [_fact(account.name, one) for one in those]
    return found + [_fact("", one) for one in of_installation(db, waiting, home)]


def _fact(connection: str, problem: dict[str, Any]) -> Fact:
    code, subject = problem["code"], problem["subject"]
    if code.startswith("sync_"):
        subject = f"sync:{subject}"
    elif code.startswith("action_"):
        subject = f"action:{subject}"
    elif code.startswith("owner_"):
        subject = f"owner:{subject}"
    elif not connection:
        subject = SUBJECTS.get(code) or f"destination:{subject}"
    else:
        subject = f"connection:{connection}"
    return Fact(code, subject, problem["detail"], problem["remedy"])


def _shown(connection: str, found: Sequence[Found]) -> list[dict[str, Any]]:
    return [problems.shown(connection, one.code, one.since, one.detail, one.subject) for one in found]

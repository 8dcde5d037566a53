"""The demo's warehouse: a list of accounts as a company would keep it, with mistakes, and a sync that writes it."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, text

from tidegate.connections.accounts import Account
from tidegate.outbound import specs, syncs
from tidegate.outbound.push import history
from tidegate.workflows.outbound import run_sync, sync_plan
from tidegate.workflows.outbound.run_sync import OpenWriting, Wanted
from tidegate.workflows.outbound.sync_plan import UrlOf

BY = "demo"
SYNC = "accounts"
KNOWN = 30
"""Rows whose customers Stripe has already."""
FRESH = 10
"""Rows of accounts that are new."""
TWICE = "office@two-of-a-kind.example"
"""The address of two customers."""
SPEC: dict[str, Any] = {
    "key": SYNC,
    "model": "accounts",
    "resource": "customers",
    "match": {"email": "email"},
    "fields": {
        "name": "company",
        "email": "email",
        "description": {"template": "{{ company }}, {{ seats }} seats"},
        "metadata": {"account": "id", "tier": "tier", "notes": "notes"},
    },
}


@dataclass(frozen=True, slots=True)
class Written:
    """What came of the sync: the rows that its plan counted, what its run sent, what another run sent after that, and
    the rows that were left, each with what is wrong.
    """

    run: int
    counts: dict[str, int]
    rows: int
    sent: dict[str, int]
    failed: int
    again: dict[str, int]
    left: list[dict[str, Any]]

    def as_json(self) -> dict[str, Any]:
        """As a JSON object."""
        return {name: getattr(self, name) for name in self.__dataclass_fields__}


def doubled(account: Account, writing: OpenWriting) -> None:
    """Makes a customer twice in Stripe, as somebody in a hurry does. Raises as StripeApi does."""
    with writing(account) as api:
        for number in (1, 2):
            said = {"email": TWICE, "name": "Two of a Kind"}
            api.post("/v1/customers", said, idempotency_key=f"demo-{number}")


def write(engine: Engine, account: Account, file: Path, url_of: UrlOf, writing: OpenWriting) -> Written:
    """Fills the warehouse, plans the sync, does what the plan showed, and runs it again. Raises as `run_sync.run`."""
    with engine.begin() as db:
        fill(file, _rows(db, account))
        syncs.define_source(db, "warehouse", sealed=None, env="", shown=f"duckdb://{file}")
        model = {"key": "accounts", "source": "warehouse", "table": "accounts", "primary_key": "id"}
        syncs.define_model(db, specs.model(model))
        syncs.define_sync(db, specs.sync(SPEC), account.name)
    with sync_plan.planned(engine, SYNC, url_of) as made, engine.begin() as db:
        plan = sync_plan.keep(db, made.plan, BY)
    done = run_sync.run(engine, SYNC, url_of, writing, Wanted(plan=plan))
    again = run_sync.run(engine, SYNC, url_of, writing)
    with engine.connect() as db:
        left = history.unsent(db, SYNC, again["run"], None)
    return Written(done["run"], done["counts"], done["rows"], done["sent"], done["failed"], again["sent"], left)


def fill(file: Path, rows: list[tuple[Any, ...]]) -> None:
    """Makes the warehouse anew, with these accounts."""
    import duckdb

    file.unlink(missing_ok=True)
    with duckdb.connect(file) as db:
        db.execute(
            "create table accounts (id varchar, company varchar, email varchar, tier varchar, seats int, notes varchar)"
        )
        db.executemany("insert into accounts values (?, ?, ?, ?, ?, ?)", rows)


def _rows(db: Connection, account: Account) -> list[tuple[Any, ...]]:
    """Accounts that Stripe knows, new ones, and three that cannot be written: an address that is none, a note longer
    than Stripe takes, and an address that two customers have.
    """
    found = db.execute(_KNOWN, {"connection": account.name, "limit": KNOWN}).all()
    tiers = ("free", "pro", "team")
    known = [(f"k{n}", row.name, row.email, tiers[n % 3], n % 7 + 1, None) for n, row in enumerate(found, 1)]
    fresh = [
        (f"n{n}", f"Newcomer {n}", f"hello@newcomer-{n}.example", tiers[n % 3], n, None) for n in range(1, FRESH + 1)
    ]
    wrong = [
        ("w1", "No Address Ltd", "at no-address.example", "free", 1, None),
        ("w2", "Long Notes & Sons", "notes@long.example", "pro", 2, "x" * 501),
        ("w3", "Two of a Kind", TWICE, "team", 3, None),
    ]
    return known + fresh + wrong


_KNOWN = text("""
select name, email from stripe.customers c
where connection = :connection and deleted_at is null and email <> '' and name <> '' and test_clock is null
  and not exists (select from stripe.customers o where o.connection = c.connection and o.deleted_at is null
    and o.id <> c.id and lower(o.email) = lower(c.email))
order by created, id limit :limit""")

"""How fast product code is answered: checks and debits over HTTP, and how fast all customers are refreshed.

    python benchmarks/entitlements.py                     100,000 contacts with 10 grants each (about ten minutes)
    python benchmarks/entitlements.py --contacts 5000

Server, database and sender are processes of their own on this machine; the database is the embedded one, which writes
through to the disk. Requests go over 16 connections, each of which sends the next when it has its answer. Rates are
told as parts of what a sync route that does nothing answers in the same process: the median of rounds that alternate.
"""

import argparse
import json
import os
import random
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import Engine, text
from support.sender import write

from tidegate.catalog import features, mappings, packages
from tidegate.catalog.mappings import Wanted
from tidegate.security import tokens
from tidegate.store.embedded import Embedded
from tidegate.store.engine import open_engine
from tidegate.workflows.operation.migrate import migrate

ITEMS = 10
CONNECTIONS = 16
SUPPORT = Path(__file__).parent / "support"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--contacts", type=int, default=100_000)
    parser.add_argument("--requests", type=int, default=3_000, help="of each kind and round")
    parser.add_argument("--rounds", type=int, default=5)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="tidegate-bench-") as folder:
        Path(folder).chmod(0o755)
        server = Embedded(Path(folder) / "home").start()
        try:
            engine = open_engine(server.url())
            migrate(engine)
            fill(engine, args.contacts)
            first, again, peaks = refreshed(server.home, engine, args.contacts)
            rounds = asked(server.home, engine, Path(folder), args)
            engine.dispose()
        finally:
            server.stop()
    sys.exit(1 if told(args, first, again, peaks, rounds) else 0)


def told(
    args: argparse.Namespace, first: float, again: float, peaks: tuple[float, float], rounds: dict[str, list[Any]]
) -> list[str]:
    """Prints the figures; returns the targets that were missed."""
    rate = {kind: [one["answered_per_second"] for one in of_kind] for kind, of_kind in rounds.items()}
    parts = {
        kind: statistics.median(a / b for a, b in zip(rates, rate["bare"], strict=True)) for kind, rates in rate.items()
    }
    p99 = statistics.median(one["p99_ms"] for one in rounds["check"])
    whole = statistics.median(a / b for a, b in zip(rate["check"], rate["every"], strict=True))
    print(
        f"\nentitlements: {args.contacts:,} contacts, {args.contacts * ITEMS:,} grants, load {os.getloadavg()[0]:.1f}"
    )
    names = {"bare": "a sync route", "check": "one feature", "every": "all features", "consume": "consume"}
    for kind, name in names.items():
        one = rounds[kind][len(rounds[kind]) // 2]
        print(
            f"  {name:13} {statistics.median(rate[kind]):7.0f}/s   {parts[kind]:.2f} × the sync route   "
            f"p50 {one['p50_ms']:.1f} ms   p99 {one['p99_ms']:.1f} ms"
        )
    print(f"  all features take {whole:.2f} × one (target 1.5); p99 of a check {p99:.1f} ms (target 20)")
    print(f"  refresh: {args.contacts / first:7.0f} customers/s at first, every grant written")
    print(f"           {args.contacts / again:7.0f} customers/s again (target 5000)")
    print(f"           peak memory {peaks[0]:.0f} MB at {args.contacts // 10:,} customers, {peaks[1]:.0f} MB at all")
    held = {
        "checks": parts["check"] >= 0.25,
        "p99": p99 < 20,
        "consume": parts["consume"] >= 0.2,
        "all features": whole <= 1.5,
        "refresh": args.contacts / again >= 5000,
        "memory": peaks[1] < peaks[0] * 1.3,
    }
    missed = [name for name, fine in held.items() if not fine]
    print("\nall targets met" if not missed else f"\nmissed: {', '.join(missed)}")
    return missed


def fill(engine: Engine, contacts: int) -> None:
    """Customers of which each is a contact with one subscription of ten items: a base package and nine add-ons."""
    with engine.begin() as db:
        db.execute(text(CONNECTION))
        for statement in MIRROR.split(";"):
            db.execute(text(statement), {"contacts": contacts, "items": ITEMS})
        for n in range(ITEMS):
            kind = ("boolean", "config", *["metered"] * 8)[n]
            features.define(db, f"feature-{n}", kind, unit="unit")
        packages.define(db, "pro")
        packages.draft(db, "pro", {"feature-0": True, "feature-1": "eu", "feature-2": 1_000_000})
        packages.publish(db, "pro")
        mappings.set_(db, Wanted("bench", price="price_1", package="pro"))
        for n in range(2, ITEMS + 1):
            terms = "us" if n == 2 else 1_000_000
            mappings.set_(db, Wanted("bench", price=f"price_{n}", feature=f"feature-{n - 1}", terms=terms))
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as db:
        db.execute(text("analyze"))


def refreshed(home: Path, engine: Engine, contacts: int) -> tuple[float, float, tuple[float, float]]:
    """Seconds of the first refresh and of the next; peak MB of one of a tenth of the customers, and of all."""
    first, _ = refresh(home)
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as db:
        db.execute(text("vacuum analyze"))
        assert db.scalar(text("select count(*) from grants")) == contacts * ITEMS
    some = [f"cus_{n}" for n in range(1, contacts // 10 + 1)]
    _, small = refresh(home, customers=some)
    again, whole = refresh(home)
    return first, again, (small, whole)


def refresh(home: Path, customers: list[str] | None = None) -> tuple[float, float]:
    """Seconds and peak memory in MB of a refresh of all customers, or of these."""
    program = [sys.executable, str(SUPPORT / "refreshing.py")]
    process = subprocess.Popen(program, env=environment(home), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    out, _ = process.communicate(json.dumps(customers))
    if process.returncode:
        raise SystemExit(f"the refresh ended with {process.returncode}")
    done = json.loads(out)
    return done["seconds"], done["peak_mb"]


def asked(home: Path, engine: Engine, folder: Path, args: argparse.Namespace) -> dict[str, list[Any]]:
    """What the sender saw of each kind of request, round by round."""
    with engine.begin() as db:
        _, token = tokens.create(db, "bench", ["entitlements"])
    chance = random.Random(1)

    def ref() -> str:
        return f"customer-{chance.randint(1, args.contacts)}"

    kinds: dict[str, Callable[[], bytes]] = {
        "bare": lambda: request("GET", "/api/bare", token),
        "check": lambda: request("GET", f"/api/contacts/{ref()}/entitlements/feature-2", token),
        "every": lambda: request("GET", f"/api/contacts/{ref()}/entitlements", token),
        "consume": lambda: request(
            "POST", f"/api/contacts/{ref()}/entitlements/feature-3/consume", token, b'{"amount":1}'
        ),
    }
    rounds: dict[str, list[Any]] = {kind: [] for kind in kinds}
    with serving(home) as port:
        for number in range(args.rounds + 1):
            for kind, make in kinds.items():
                file = folder / kind
                write(file, (make() for _ in range(args.requests)))
                command = [sys.executable, str(SUPPORT / "sender.py"), "127.0.0.1", str(port), "0", str(CONNECTIONS)]
                done = json.loads(subprocess.run([*command, str(file)], stdout=subprocess.PIPE, check=True).stdout)
                assert done["statuses"] == {"200": args.requests}, done
                if number:  # the first round warms up
                    rounds[kind].append(done)
    return rounds


def request(method: str, path: str, token: str, body: bytes = b"") -> bytes:
    head = f"{method} {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {token}\r\nAccept: */*\r\n"
    if body:
        head += f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n"
    return f"{head}\r\n".encode() + body


@contextmanager
def serving(home: Path) -> Generator[int]:
    """The port of a web process."""
    command = [sys.executable, str(SUPPORT / "served.py")]
    process = subprocess.Popen(command, env=environment(home), stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        yield int(process.stdout.readline())
    finally:
        process.terminate()
        process.wait(60)


def environment(home: Path) -> dict[str, str]:
    return {name: v for name, v in os.environ.items() if name != "DATABASE_URL"} | {"TIDEGATE_HOME": str(home)}


CONNECTION = """
insert into tidegate.connections (name, account, livemode, rate, endpoint_rate, api_key)
values ('bench', 'acct_bench', false, 0, 0, 'sealed')"""

MIRROR = r"""
insert into stripe.customers (connection, id, created, updated_at, certainty, email, name, data)
select 'bench', 'cus_' || n, at, at, 0, 'person@company-' || n || '.example', 'Company ' || n,
  jsonb_build_object('id', 'cus_' || n, 'metadata', jsonb_build_object())
from generate_series(1, :contacts) n, lateral (select now() - interval '400 days' + n * interval '1 second' as at) a;
insert into stripe.subscriptions
  (connection, id, created, updated_at, certainty, customer, status, start_date, billing_cycle_anchor, data)
select 'bench', 'sub_' || n, created, updated_at, 0, id, 'active', created, created, '{}'::jsonb
from stripe.customers, lateral (select substr(id, 5) as n) b;
insert into stripe.subscription_items
  (connection, id, created, updated_at, certainty, subscription, price, product, quantity, currency, unit_amount,
   interval, interval_count, data)
select 'bench', 'si_' || substr(s.id, 5) || '_' || i, s.created, s.updated_at, 0, s.id, 'price_' || i, 'prod_' || i, 1,
  'usd', 1000, 'month', 1, jsonb_build_object('id', 'si_' || i, 'object', 'subscription_item')
from stripe.subscriptions s, generate_series(1, :items) i;
insert into stripe.prices (connection, id, created, updated_at, certainty, product, data)
select 'bench', 'price_' || i, now(), now(), 0, 'prod_' || i, '{}'::jsonb from generate_series(1, :items) i;
insert into tidegate.contacts (livemode, kind, external_id, name, email, made_by)
select false, 'account', 'customer-' || substr(id, 5), name, email, 'api' from stripe.customers;
insert into tidegate.contact_ids (livemode, kind, external_id, contact)
select livemode, kind, external_id, key from tidegate.contacts;
insert into tidegate.contact_emails (contact, folded, email) select key, email, email from tidegate.contacts;
insert into tidegate.links (connection, customer, contact, method)
select 'bench', 'cus_' || substr(external_id, 10), key, 'email' from tidegate.contacts"""


if __name__ == "__main__":
    main()

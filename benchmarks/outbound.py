"""How fast a warehouse's rows are planned and sent: the plan against a bare join, the run against the rate limit.

    python benchmarks/outbound.py                      1,000,000 rows; runs of 20 s at 25/s and at 100/s (minutes)
    python benchmarks/outbound.py --rows 50000 --seconds 5
    python benchmarks/outbound.py --only plan

Plan: 1 % of the rows of 10 columns say something else than what was sent of them; the mirror has a customer for each.
A process of its own plans; told are its seconds without the reading of the source, beside those of a join in DuckDB
of the rows as they are and as they were that compares all columns, in turn with it. Both have the same memory. As the
source is read its rows are hashed, and the hashes of what was sent are read from PostgreSQL beside it.

Run: customers made in a simulated Stripe that takes 250 ms for every answer. The rate is that of all requests from the
first one's beginning to the last one's answer, as the journal has them. A writer beside it sends one after the other.
Afterwards the same model is run again: it must make no request at all.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Generator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import duckdb
import httpx
import psycopg
from pydantic import SecretStr
from sqlalchemy import Connection, Engine, text

from tidegate.outbound import planning, specs, staging, syncs
from tidegate.outbound.staging import MEMORY
from tidegate.settings import Settings
from tidegate.stripe_api.client import StripeApi
from tidegate.stripe_api.limits import LocalBudget
from tidegate.wiring import Hub, open_hub
from tidegate.workflows.mirror.connect import ConnectRequest, connect
from tidegate.workflows.mirror.import_account import ImportOptions, import_account
from tidegate.workflows.outbound import run_sync, sync_plan
from tidegate.workflows.outbound.run_sync import Wanted

SUPPORT = Path(__file__).parent / "support"
NAME = "bench"
LATENCY = 0.25  # seconds
COLUMNS = ("company", "email", "phone", "note", "street", "city", "country", "tier", "seats")
"""Beside `id`."""
SPEC: dict[str, Any] = {
    "key": "customers",
    "model": "accounts",
    "resource": "customers",
    "match": {"email": "email"},
    "fields": {
        "name": "company", "email": "email", "phone": "phone", "description": "note",
        "address": {"line1": "street", "city": "city", "country": "country"},
        "metadata": {"tier": "tier", "seats": "seats"},
    },
}  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=int, default=20, help="that a run lasts at its limit")
    parser.add_argument("--only", choices=["plan", "run"])
    args = parser.parse_args()
    missed: list[str] = []
    if args.only != "run":
        missed += plans(args.rows, args.rounds)
    if args.only != "plan":
        missed += [name for rate in (25, 100) for name in sends(rate, args.seconds)]
    print("\nall targets met" if not missed else f"\nmissed: {', '.join(missed)}")
    sys.exit(1 if missed else 0)


def plans(rows: int, rounds: int) -> list[str]:
    """Plans over so many rows of which 1 % changed; returns the targets that were missed."""
    with installation() as hub:
        file = hub.settings.home / "warehouse.duckdb"
        with duckdb.connect(file) as db:
            db.execute(ROWS.format(rows=rows))
        define(hub.engine, file)
        fill(hub.engine, file)
        with duckdb.connect(file) as db:
            db.execute("create table before as select * from accounts")
            db.execute("update accounts set company = company || ' & Co' where id % 100 = 0")
        joins: list[float] = []
        found: list[dict[str, Any]] = []
        for _ in range(rounds):
            joins.append(joined(file, rows // 100))
            found.append(planned(hub.settings.home))
            assert found[-1]["counts"]["update"] == found[-1]["rows"]["changed"] == rows // 100, found[-1]
    ratio = statistics.median(one["seconds"] / join for one, join in zip(found, joins, strict=True))
    peak = max(one["peak_mb"] for one in found)
    print(f"\nplan: {rows:,} rows of {len(COLUMNS) + 1} columns, 1 % changed, load {os.getloadavg()[0]:.1f}")
    print(f"  join of both tables       {statistics.median(joins):7.2f} s")
    print(f"  source read               {statistics.median(one['read'] for one in found):7.2f} s")
    print(f"  plan without it           {statistics.median(one['seconds'] for one in found):7.2f} s")
    print(f"  plan is {ratio:.2f} × the join (target 3); peak {peak:.0f} MB (target 1500)")
    return [name for name, kept in {"plan": ratio < 3, "memory": peak < 1500}.items() if not kept]


def joined(file: Path, changed: int) -> float:
    """Seconds of a join in DuckDB that finds the changed rows by comparing all columns."""
    now, then = (", ".join(f"{table}.{name}" for name in COLUMNS) for table in "ms")
    with duckdb.connect(config={"memory_limit": MEMORY}) as db:
        db.execute(f"attach '{file}' as w (read_only)")
        db.execute("create table model as select * from w.accounts; create table state as select * from w.before")
        began = time.perf_counter()
        db.execute(f"""
create table differing as select coalesce(m.id, s.id) as id from model m full join state s using (id)
where m.id is null or s.id is null
  or row({now}) is distinct from row({then})""")
        seconds = time.perf_counter() - began
        assert db.execute("select count(*) from differing").fetchall() == [(changed,)]
    return seconds


def planned(home: Path) -> dict[str, Any]:
    """What a plan in a process of its own took."""
    environment = {**os.environ, "TIDEGATE_HOME": str(home), "DATABASE_URL": "", "TIDEGATE_SECRET_KEY": ""}
    command = [sys.executable, str(SUPPORT / "planning.py"), "customers"]
    return json.loads(subprocess.run(command, env=environment, stdout=subprocess.PIPE, check=True).stdout)


ROWS = """
create table accounts as select n::bigint as id, 'Company ' || n as company, 'c' || n || '@bench.example' as email,
  '+1555' || lpad(n::varchar, 7, '0') as phone, 'Account number ' || n as note, n || ' Main Street' as street,
  ['Berlin', 'Paris', 'Oslo', 'Lima'][1 + n % 4] as city, ['DE', 'FR', 'NO', 'PE'][1 + n % 4] as country,
  ['free', 'pro', 'team'][1 + n % 3] as tier, (n % 50)::int as seats
from range(1, {rows} + 1) t(n)"""
SENT = """
select "_key", "_hash", json_object('id', 'cus_' || id, 'object', 'customer', 'created', 1760000000,
    'name', company, 'email', email, 'phone', phone, 'description', note,
    'address', json_object('line1', street, 'city', city, 'country', country),
    'metadata', json_object('tier', tier, 'seats', seats::varchar)) as body,
  json_object('name', company, 'email', email, 'phone', phone, 'description', note,
    'address', json_object('line1', street, 'city', city, 'country', country),
    'metadata.tier', tier, 'metadata.seats', seats::varchar) as wrote
from model"""


def define(engine: Engine, file: Path) -> None:
    """The warehouse, its model and the sync, of a connection that nobody asks anything of."""
    with engine.begin() as db:
        db.execute(text(CONNECTION))
        stored(db, file)


def stored(db: Connection, file: Path) -> None:
    """The source, the model and the sync."""
    syncs.define_source(db, "warehouse", sealed=None, env="", shown=f"duckdb://{file}")
    model = {"key": "accounts", "source": "warehouse", "table": "accounts", "primary_key": "id"}
    syncs.define_model(db, specs.model(model))
    syncs.define_sync(db, specs.sync(SPEC), NAME)


def fill(engine: Engine, file: Path) -> None:
    """The mirror and the state of the sync as if every row had been sent as it is, and vacuumed since, as the database
    does by itself while a run of a million rows sends them.
    """
    spec = specs.sync(SPEC)
    sent = file.parent / "sent.csv"
    with staging.opened() as staged, duckdb.connect(file, read_only=True) as warehouse:
        found = warehouse.sql("select * from accounts").to_arrow_reader()
        staged.read("accounts", found, ("id",), spec.columns, planning.version_of(spec))
        staged.db.execute(f"copy ({SENT}) to '{sent}' (format csv, header false)")
    url = engine.url.set(drivername="postgresql").render_as_string(hide_password=False)
    with psycopg.connect(url) as db:
        db.execute("create temp table sent (key text, hash bigint, body jsonb, wrote jsonb)")
        with db.cursor().copy("copy sent from stdin (format csv)") as copy, sent.open("rb") as csv:
            while block := csv.read(1 << 20):
                copy.write(block)
        db.execute(MIRROR)
        db.execute(STATE)
    sent.unlink()
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as db:
        db.execute(text("vacuum analyze"))


CONNECTION = """
insert into tidegate.connections (name, account, livemode, rate, endpoint_rate, api_key, complete_as_of)
values ('bench', 'acct_bench', false, 0, 0, '', '2026-01-01T00:00:00Z')"""
MIRROR = """
insert into stripe.customers (connection, id, created, updated_at, certainty, email, name, data)
select 'bench', body ->> 'id', to_timestamp(1760000000), to_timestamp(1760000000), 1, body ->> 'email', body ->> 'name',
  body from sent"""
STATE = """
with looked as (update tidegate.syncs set looked_until = '2026-01-01T00:00:00Z')
insert into tidegate.sync_rows (sync, key, hash, state, object_id, ours, wrote, showed, seen_at, generation)
select 'customers', key, hash, 'sent', body ->> 'id', true, wrote, wrote, to_timestamp(1760000000), 1 from sent"""


def sends(rate: int, seconds: int) -> list[str]:
    """A run that makes customers at a limit of so many requests a second; returns the targets that were missed."""
    rows = rate * seconds
    with sandbox() as (url, key), installation() as hub, httpx.Client(base_url=url, trust_env=False) as http:
        request = ConnectRequest(key, NAME, write_key=key, api_base=url, rate=rate, endpoint_rate=rate)
        account = connect(
            hub.engine,
            hub.vault,
            request,
            lambda key, base: closing(StripeApi(key, base=base, budget=LocalBudget())),
            "cli:bench",
        )
        with hub.stripe(account) as api:
            import_account(hub.engine, account, api, ImportOptions())
        file = hub.settings.home / "warehouse.duckdb"
        with duckdb.connect(file) as db:
            db.execute(ROWS.format(rows=rows))
        with hub.engine.begin() as db:
            stored(db, file)
        before = os.times()
        whole = timed(lambda: run(hub, rows))
        cpu = sum(os.times()[:2]) - sum(before[:2])
        with hub.engine.connect() as db:
            lasted = float(db.execute(text(LASTED)).scalar_one())
        asked = http.get("/__stats").json()["requests"]
        again = timed(lambda: run(hub, 0))
        quiet = http.get("/__stats").json()["requests"] == asked
        serial = one_after_another(http, key)
    reached = rows / lasted
    print(f"\nrun: {rows:,} customers at a limit of {rate}/s, {LATENCY * 1000:.0f} ms latency")
    print(f"  run                {reached:7.1f}/s   {reached / rate:.1%} of the limit (target 95 %)")
    print(f"  one after another  {serial:7.1f}/s")
    print(f"  in all {whole:.1f} s with the plan, {cpu / rows * 1000:.1f} ms CPU a row")
    print(f"  again, unchanged   {again:7.2f} s   {'no request' if quiet else 'REQUESTS'}")
    kept = {f"run at {rate}/s": reached >= 0.95 * rate, f"unchanged at {rate}/s": quiet}
    return [name for name, fine in kept.items() if not fine]


LASTED = "select extract(epoch from max(answered_at) - min(sent_at)) from tidegate.requests where state = 'done'"


def run(hub: Hub, rows: int) -> None:
    """Plans and runs the sync, and sees that so many customers were made."""
    with sync_plan.planned(hub.engine, "customers", hub.source_url) as made, hub.engine.begin() as db:
        plan = sync_plan.keep(db, made.plan, NAME)
    done = run_sync.run(hub.engine, "customers", hub.source_url, hub.stripe_writing, Wanted(plan=plan))
    assert (done["state"], done["sent"]) == ("done", {"create": rows} if rows else {}), done


def one_after_another(http: httpx.Client, key: str, count: int = 20) -> float:
    """Customers a second that a writer makes who waits for each answer."""

    def write() -> None:
        for number in range(count):
            said = {"name": f"Serial {number}", "email": f"s{number}@bench.example"}
            http.post("/v1/customers", data=said, headers={"Authorization": f"Bearer {key}"}).raise_for_status()

    return count / timed(write)


def timed(work: Callable[[], Any]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


@contextmanager
def installation() -> Generator[Hub]:
    """A fresh installation with an embedded database of its own."""
    with tempfile.TemporaryDirectory(prefix="tidegate-bench-") as folder:
        Path(folder).chmod(0o755)
        config = Settings(home=Path(folder) / "home", database_url="", secret_key=SecretStr(""))
        with open_hub(config, pool_size=16) as hub:
            yield hub


@contextmanager
def sandbox() -> Generator[tuple[str, str]]:
    """A simulated Stripe with nearly nothing, whose every answer takes its time; its URL and key."""
    counts = ["--customers", "1", "--subscriptions", "0", "--invoices", "0", "--latency", str(LATENCY)]
    command = [sys.executable, "-m", "tidegate.sandbox", "--profile", "bulk", "--port", "0", *counts]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        said = process.stdout.readline().split()
        try:
            yield next(w for w in said if w.startswith("http://")), next(w for w in said if w.startswith("sk_test_"))
        finally:
            process.terminate()


if __name__ == "__main__":
    main()

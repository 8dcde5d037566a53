"""How fast pages answer where there is much: 100,000 contacts, 3,000,000 movements, 1,000,000 rows and requests.

    python benchmarks/pages.py                     all of it (about five minutes, most of them filling)
    python benchmarks/pages.py --contacts 10000 --rounds 5

Every page of the menu is asked for, and one of each thing that has a page of its own, one after another, of a web
process of its own. Told is the 95th percentile of each, and what the first paint takes over the network: the page, its
style sheets and scripts, compressed; ECharts comes after it.
"""

import argparse
import gzip
import re
import statistics
import sys
import tempfile
import time
from pathlib import Path

import httpx
from entitlements import serving
from lifecycle import fill as filled_contacts
from sqlalchemy import Engine, text

from tidegate.revenue import editions
from tidegate.security import tokens
from tidegate.store.embedded import Embedded
from tidegate.store.engine import open_engine
from tidegate.web.navigation import SECTIONS
from tidegate.workflows.lifecycle import lifecycle
from tidegate.workflows.operation.migrate import migrate
from tidegate.workflows.revenue.ledger_policy import write_movements

COUNTED = ("contacts", "movements", "sync_rows", "requests")
SLOWEST = 300  # milliseconds
HEAVIEST = 150_000  # bytes
OTHERS = (
    "/contacts?search=Company+4242",
    "/contacts?sort=name&page=40",
    "/contacts.csv?search=Company+4242",
    "/contacts/account:acct-4242",
    "/search?q=Company+42",
    "/revenue/movements?kind=churn",
    "/mirror/bench/customers",
    "/syncs/rows",
    "/syncs/rows/runs/1",
    "/segments",
    "/alerts?state=resolved",
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--contacts", type=int, default=100_000)
    parser.add_argument("--rounds", type=int, default=25, help="how often each page is asked for")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="tidegate-bench-") as folder:
        Path(folder).chmod(0o755)
        server = Embedded(Path(folder) / "home").start()
        try:
            engine = open_engine(server.url())
            migrate(engine)
            fill(engine, args.contacts)
            sound = told(engine, server.home, args.rounds)
            engine.dispose()
        finally:
            server.stop()
    print("all targets met" if sound else "missed")
    sys.exit(0 if sound else 1)


def fill(engine: Engine, contacts: int) -> None:
    """Contacts with facts, stages and alerts; ten subscriptions of each, three movements of each; a run of ten rows for
    each contact.
    """
    filled_contacts(engine, contacts)
    with engine.begin() as db:
        for statement in _FILL:
            db.execute(text(statement), {"contacts": contacts})
    with engine.begin() as db:
        write_movements(db, editions.begin(db, "bench"))
    lifecycle.keep(engine)
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as db:
        db.execute(text("vacuum analyze"))
        counted = {name: db.scalar(text(f"select count(*) from tidegate.{name}")) for name in ("movements", "requests")}
        print(
            f"{contacts:,} contacts, {counted['movements']:,} movements, {counted['requests']:,} requests", flush=True
        )


def told(engine: Engine, home: Path, rounds: int) -> bool:
    """Prints what each page takes; whether all hold."""
    with engine.begin() as db:
        _, token = tokens.create(db, "bench", ["admin", "revenue"])
    sound = True
    with serving(home) as port, httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=120) as client:
        signed_in = client.post("/login", data={"token": token}, headers={"Sec-Fetch-Site": "same-origin"})
        client.headers["Cookie"] = signed_in.headers["set-cookie"].partition(";")[0]
        paths = [one.path for _, pages in SECTIONS for one in pages]
        for path in (*paths, *OTHERS):
            first = client.get(path)
            taken = [asked(client, path) for _ in range(rounds)]
            slow = statistics.quantiles(taken, n=20)[-1]
            paint = first_paint(client, first.text) if "html" in first.headers["content-type"] else 0
            kept = first.status_code == 200 and slow <= SLOWEST and paint <= HEAVIEST
            sound = sound and kept
            why = "" if kept else "  MISSED" if first.status_code == 200 else f"  ANSWERED {first.status_code}"
            print(f"{path:<40} p95 {slow:8.1f} ms   first paint {paint / 1000:6.1f} kB{why}", flush=True)
    print(f"(targets: {SLOWEST} ms, {HEAVIEST / 1000:.0f} kB)")
    return sound


def asked(client: httpx.Client, path: str) -> float:
    """Milliseconds until the whole page is there."""
    began = time.perf_counter()
    client.get(path)
    return (time.perf_counter() - began) * 1000


def first_paint(client: httpx.Client, page: str) -> int:
    """Bytes of the page and what it links to for its first paint, compressed as a server sends it."""
    static = set(re.findall(r'(?:src|href)="(/static/[^"]+\.(?:css|js|svg))"', page))
    return sum(len(gzip.compress(body)) for body in (page.encode(), *(client.get(one).content for one in static)))


_FILL = (
    """
insert into tidegate.connections (name, account, livemode, rate, endpoint_rate, api_key)
values ('bench', 'acct_bench', false, 0, 0, '')""",
    """
insert into stripe.customers (connection, id, created, updated_at, certainty, email, name, data)
select 'bench', 'cus_' || n, now() - n * interval '1 minute', now(), 1, 'ada' || n || '@example.com', 'Company ' || n,
  jsonb_build_object('id', 'cus_' || n) from generate_series(1, :contacts) n""",
    """
insert into tidegate.links (connection, customer, contact, method, evidence)
select 'bench', 'cus_' || key, key, 'created', '{}' from tidegate.contacts""",
    """
insert into tidegate.spans (connection, subscription, item, starts_at, ends_at, customer, currency, mrr, listed, price,
  product, quantity, "interval", interval_count, metered, provenance, source)
select 'bench', 'sub_' || n, 'si_' || n, begun + k * held,
  case when k < 2 or n % 4 = 0 then begun + (k + 1) * held end, 'cus_' || 1 + n % :contacts,
  (array['usd', 'eur', 'gbp'])[1 + n % 3], (1 + (n * 7 + k * 13) % 40) * 100000000::bigint,
  (1 + (n * 7 + k * 13) % 40) * 100000000::bigint, 'price_' || (n + k) % 20, 'prod_' || (n + k) % 5, 1, 'month', 1,
  false, 'observed', 'evt'
from generate_series(1, cast(:contacts * 10 as int)) n,
  lateral (select '2021-01-01'::timestamptz + (n * 7919::bigint % 43200) * interval '1 hour' as begun,
                  (20 + n % 170) * interval '1 day' as held) t,
  generate_series(0, 2) k""",
    """
insert into tidegate.sources (key, url, shown) values ('files', 'x', 'duckdb:///rows.duckdb')""",
    """
insert into tidegate.models (key, source, spec) values ('rows', 'files',
  '{"source": "files", "sql": "select 1 as id", "primary_key": ["id"]}')""",
    """
insert into tidegate.syncs (key, model, connection, resource, spec) values ('rows', 'rows', 'bench', 'customers',
  '{"model": "rows", "resource": "customers", "match": {"email": "id"}, "fields": {"email": "id"}}')""",
    """
insert into tidegate.runs (connection, kind, state, finished_at, options, summary)
values ('sync:rows', 'sync', 'done', now(), '{"sync": "rows"}', '{"sent": {"update": 1000000}}')""",
    """
insert into tidegate.sync_rows (sync, key, hash, state, object_id, run)
select 'rows', n::text, n, case when n % 100 = 0 then 'failed' else 'sent' end, 'cus_' || n, 1
from generate_series(1, cast(:contacts * 10 as int)) n""",
    """
insert into tidegate.requests (run, sync, connection, key, kind, hash, operation, method, path, params,
  idempotency_key, generation, state, status, sent_at, answered_at)
select 1, 'rows', 'bench', n::text, 'update', n, 'update', 'post', '/v1/customers/cus_' || n, '{"email": "x"}',
  'k' || n, 1, case when n % 100 = 0 then 'refused' else 'done' end, case when n % 100 = 0 then 400 else 200 end,
  now(), now() from generate_series(1, cast(:contacts * 10 as int)) n""",
)


if __name__ == "__main__":
    main()

"""How fast revenue is derived and told: the ledger rebuilt from PostgreSQL to PostgreSQL, one customer's refresh,
pricing, MRR over HTTP.

    python benchmarks/revenue.py                       1,000,000 subscriptions, 3,000,000 spans (about eight minutes)
    python benchmarks/revenue.py --subscriptions 50000

The database is the embedded one, which writes through to the disk. Rebuilds are told as multiples of what DuckDB takes
to look once at the same changes with a window (the stock of every unit after each), in the same run; both with as many
threads as the machine has. A rebuild from nothing is what the adoption of a policy does: it reads all spans, derives
all movements, and writes them as a new edition. What bounds it is told as well: a bare COPY of those very rows, ready
as bytes, into an edition that has its indexes, and into a table without any. Another rebuild compares what it derives
with what stands, and writes nothing. Stages are told one after another; a rebuild reads what stands while it derives.
Units are text in what the window reads, as in what the expression does.

Reports are those of five years by month, asked one after another of a web process of its own.
"""

import argparse
import json
import random
import resource
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
from entitlements import serving
from sqlalchemy import Connection, Engine, text

from tidegate.catalog import mappings, packages
from tidegate.catalog.mappings import Wanted
from tidegate.connections import accounts
from tidegate.pricing.given import given
from tidegate.pricing.policy import policy
from tidegate.pricing.subscription import value
from tidegate.revenue import editions, partitions, rebuild
from tidegate.security import tokens
from tidegate.store.embedded import Embedded
from tidegate.store.engine import open_engine
from tidegate.workflows import refresh
from tidegate.workflows.operation.migrate import migrate
from tidegate.workflows.revenue.ledger_policy import write_movements

SPANS = 3
"""Spans of each subscription."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--subscriptions", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=3)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="tidegate-bench-") as folder:
        Path(folder).chmod(0o755)
        server = Embedded(Path(folder) / "home").start()
        try:
            engine = open_engine(server.url())
            migrate(engine)
            fill(engine, args.subscriptions)
            figures = measured(engine, args.rounds)
            figures |= {"one customer's refresh, ms": one_customer(engine)}
            figures |= asked(server.home, engine)
            engine.dispose()
        finally:
            server.stop()
    figures |= {"subscriptions priced a second": priced()}
    figures |= {"peak memory, MB": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024}
    sys.exit(0 if told(figures) else 1)


BOUNDS: dict[str, tuple[str, float]] = {
    "the expression alone, × the window": ("at most", 1.5),
    "rebuild with nothing to write, × the window": ("at most", 6),
    "rebuild from nothing, × the window": ("at most", 6),
    "one customer's refresh, ms": ("at most", 20),
    "MRR by month over HTTP, p95, ms": ("at most", 100),
    "by package over HTTP, ms": ("at most", 2_000),
    "by a contact's property over HTTP, ms": ("at most", 2_000),
    "subscriptions priced a second": ("at least", 20_000),
    "peak memory, MB": ("at most", 2048),
}


def told(figures: dict[str, float]) -> bool:
    """Prints the figures beside their bounds; whether all hold."""
    sound = True
    for name, figure in figures.items():
        bound = BOUNDS.get(name)
        kept = bound is None or (figure <= bound[1] if bound[0] == "at most" else figure >= bound[1])
        sound = sound and kept
        said = f"{bound[0]} {bound[1]:,}" if bound else ""
        print(f"{name:<48} {figure:>14,.2f}  {said}{'' if kept else '  MISSED'}")
    return sound


def fill(engine: Engine, subscriptions: int) -> None:
    """Spans as if derived: each subscription with three that follow each other, over five years; every tenth contact
    has two customers. Prices are mapped to packages, contacts have a property.
    """
    values = {"n": subscriptions}
    with engine.begin() as db:
        db.execute(
            text("""
insert into tidegate.connections (name, account, livemode, rate, endpoint_rate, api_key)
values ('bench', 'acct_bench', false, 0, 0, '')""")
        )
        editions.begin(db, "bench")
        db.execute(
            text("""
insert into tidegate.contacts (livemode, kind, external_id, made_by, properties)
select false, 'account', 'c' || n, 'stripe', jsonb_build_object('sector', 'sector ' || n % 8)
from generate_series(1, :n) n where n % 10 <> 0"""),
            values,
        )
        db.execute(
            text("""
insert into tidegate.links (connection, customer, contact, method, evidence)
select 'bench', 'cus_' || n, c.key, 'created', '{}' from generate_series(1, :n) n
join tidegate.contacts c on c.external_id = 'c' || case when n % 10 = 0 then n - 1 else n end"""),
            values,
        )
        db.execute(
            text("""
insert into tidegate.spans (connection, subscription, item, starts_at, ends_at, customer, currency, mrr, listed, price,
  product, quantity, "interval", interval_count, metered, provenance, source)
select 'bench', 'sub_' || n, 'si_' || n, begun + k * held,
  case when k < 2 or n % 4 = 0 then begun + (k + 1) * held end, 'cus_' || n,
  (array['usd', 'eur', 'gbp'])[1 + n % 3], (1 + (n * 7 + k * 13) % 40) * 100000000::bigint,
  (1 + (n * 7 + k * 13) % 40) * 100000000::bigint, 'price_' || (n + k) % 20, 'prod_' || (n + k) % 5, 1, 'month', 1,
  false, 'observed', 'evt'
from generate_series(1, :n) n,
  lateral (select '2021-01-01'::timestamptz + (n * 7919::bigint % 43200) * interval '1 hour' as begun,
                  (20 + n % 170) * interval '1 day' as held) t,
  generate_series(0, 2) k"""),
            values,
        )
        package(db)
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as db:
        db.execute(text("analyze"))


def package(db: Connection) -> None:
    """Four packages, each of five prices."""
    db.execute(
        text("""
insert into stripe.prices (connection, id, created, updated_at, certainty, product, data)
select 'bench', 'price_' || n, now(), now(), 0, 'prod_' || n % 5, '{}' from generate_series(0, 19) n""")
    )
    for n in range(4):
        packages.define(db, f"package-{n}")
        packages.draft(db, f"package-{n}", {})
        packages.publish(db, f"package-{n}")
    for n in range(20):
        mappings.set_(db, Wanted("bench", price=f"price_{n}", package=f"package-{n % 4}"))


def measured(engine: Engine, rounds: int) -> dict[str, float]:
    """Seconds and ratios of a window over all changes, of the expression, and of whole rebuilds."""
    with rebuild.opened() as work, engine.connect() as db:  # what adopting loads and compiles before anybody waits
        work.begin_spans()
        work.derive(editions.begin(db, "bench"))
    nothing = [begun(engine) for _ in range(rounds)]
    with engine.connect() as db:
        ledger = editions.begin(db, "bench")
    bare = {name: timed_copy(engine, ledger, indexed) for name, indexed in (("its indexes", True), ("none", False))}
    stages: dict[str, list[float]] = {"the window": [], "reading": [], "the expression alone": [], "writing": []}
    again: list[float] = []
    for _ in range(rounds):
        with rebuild.opened() as work, engine.begin() as db:
            stages["reading"].append(timed(lambda: work.read_spans(db, ledger)))
            stages["the window"].append(timed(lambda: work.db.execute(WINDOW)))
            work.db.execute("drop table bare")
            stages["the expression alone"].append(timed(lambda: work.derive(ledger)))
            stages["writing"].append(timed(lambda: work.write(db, ledger)))
        with engine.begin() as db:
            again.append(timed(lambda: write_movements(db, ledger)))
    window = stages.pop("the window")
    base = statistics.median(window)
    with engine.connect() as db:
        spans = db.execute(text("select count(*) from tidegate.spans")).scalar_one()
    return {
        "spans": spans,
        "the window, s": base,
        **{f"{name}, s": statistics.median(seconds) for name, seconds in stages.items()},
        "the expression alone, × the window": ratio(stages["the expression alone"], window),
        "rebuild with nothing to write, s": statistics.median(again),
        "rebuild with nothing to write, × the window": ratio(again, window),
        "rebuild from nothing, s": statistics.median(nothing),
        "rebuild from nothing, × the window": statistics.median(nothing) / base,
        **{f"bare COPY, indexes: {name}, × the window": seconds / base for name, seconds in bare.items()},
    }


def begun(engine: Engine) -> float:
    """Seconds of a rebuild from nothing: a new edition, which takes the place of the one in force."""
    with engine.begin() as db:
        before = editions.begin(db, "bench")
        drafted = editions.draft(db, "bench", editions.terms(db, "bench"))
        seconds = timed(lambda: write_movements(db, drafted))
        editions.adopt(db, drafted)
        partitions.drop(db, "bench", before.edition)
    return seconds


def timed_copy(engine: Engine, ledger: editions.Ledger, indexed: bool) -> float:
    """Seconds of a bare COPY of the ledger's rows, and nothing else, with the indexes of an edition or without any."""
    table = partitions.named("bench", 0)
    with engine.connect() as db, tempfile.TemporaryFile() as file:
        if indexed:
            partitions.make(db, "bench", 0)
        else:
            db.execute(text(f"create table {table} (like tidegate.movements including defaults)"))
        rows = f"(select 0 as edition, {COPIED} from {partitions.named('bench', ledger.edition)})"
        raw: Any = db.connection.driver_connection
        with raw.cursor() as cursor, cursor.copy(f"copy {rows} to stdout (format binary)") as coming:
            for block in coming:
                file.write(block)
        file.seek(0)

        def copied() -> None:
            into = f"copy {table} (edition, {COPIED}) from stdin (format binary)"
            with raw.cursor() as cursor, cursor.copy(into) as copy:
                while block := file.read(1 << 20):
                    copy.write(block)

        return timed(copied)  # and nothing stays of it


COPIED = f"connection, {', '.join(rebuild.ROW)}"


def ratio(seconds: list[float], window: list[float]) -> float:
    """The median of what each round took, as a multiple of the window of the same round."""
    return statistics.median(a / b for a, b in zip(seconds, window, strict=True))


WINDOW = """
create or replace temp table bare as
with changes as (
  select unit, currency, item, starts_at as instant, mrr as amount from ledger_spans
  union all select unit, currency, item, ends_at, -mrr from ledger_spans where ends_at is not null)
select *, sum(amount) over w as stock, lag(instant) over w as before
from changes window w as (partition by unit, currency order by instant)"""


def timed(work: Callable[[], Any]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def one_customer(engine: Engine) -> float:
    """Median milliseconds of the refresh of one customer whose subscription changed."""
    period = {"current_period_start": 1_760_000_000, "current_period_end": 1_762_592_000}
    with engine.begin() as db:
        account = next(one for one in accounts.every(db) if one.name == "bench")
    seconds: list[float] = []
    for number in range(40):
        customer = f"cus_{random.Random(number).randint(1, 1000)}"
        item = {"id": f"si_b{number}", "object": "subscription_item", "quantity": number + 1, "price": PRICE, **period}
        body = {"id": f"sub_b{number}", "object": "subscription", "status": "active", "currency": "usd",
                "created": 1_760_000_000, "start_date": 1_760_000_000, "customer": customer,
                "items": {"data": [item]}}  # fmt: skip
        with engine.begin() as db:
            db.execute(text("""
insert into stripe.customers (connection, id, created, updated_at, certainty, data)
values ('bench', :c, now(), now(), 1, jsonb_build_object('id', cast(:c as text))) on conflict do nothing"""),
                {"c": customer})  # fmt: skip
            db.execute(text("""
insert into stripe.subscriptions (connection, id, created, updated_at, certainty, data, customer, status)
values ('bench', :id, now(), now(), 1, cast(:data as jsonb), :c, 'active')"""),
                {"id": body["id"], "data": json.dumps(body), "c": customer})  # fmt: skip

        def refreshed(customer: str = customer) -> None:
            with engine.begin() as db:
                refresh.refresh(db, account, [customer])

        seconds.append(timed(refreshed))
    return statistics.median(seconds[5:]) * 1000


def asked(home: Path, engine: Engine) -> dict[str, float]:
    """Milliseconds of reports of MRR by month for five years over HTTP: the 95th percentile of those in all, the median
    of those by groups.
    """
    with engine.begin() as db:
        _, token = tokens.create(db, "bench", ["revenue"])
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as db:
        db.execute(text("vacuum analyze"))

    with serving(home) as port, httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=300) as client:
        client.headers["Authorization"] = f"Bearer {token}"

        def ask(group: str | None, times: int) -> list[float]:
            given = {"by": "month", "from": "2021-01-01", "to": "2025-12-31"}
            given |= {"group_by": group} if group else {}

            def once() -> None:
                assert client.get("/api/revenue/mrr", params=given).raise_for_status().json()["rows"]

            once()
            return [timed(once) * 1000 for _ in range(times)]

        return {
            "MRR by month over HTTP, p95, ms": statistics.quantiles(ask(None, 100), n=20)[-1],
            "by package over HTTP, ms": statistics.median(ask("package", 5)),
            "by a contact's property over HTTP, ms": statistics.median(ask("property:sector", 5)),
        }


PRICE = {
    "id": "price_b", "object": "price", "currency": "usd", "unit_amount": 1900, "unit_amount_decimal": "1900",
    "product": "prod_b", "recurring": {"interval": "month", "interval_count": 1, "usage_type": "licensed"},
}  # fmt: skip


def priced() -> float:
    """Subscriptions priced a second on one core: an item each, a third with a discount."""
    chosen = policy()
    facts = [
        given(json.dumps({
            "id": f"sub_{n}", "object": "subscription", "status": "active", "currency": "usd",
            "items": {"data": [{"id": "si", "object": "subscription_item", "quantity": n % 7 + 1, "price": PRICE}]},
            "discounts": [{"id": "di", "coupon": {"id": "c", "percent_off": 10, "duration": "forever"}}][: n % 3 == 0],
        }).encode())
        for n in range(5000)
    ]  # fmt: skip

    def all_of_them() -> None:
        for one in facts:
            value(one, chosen, 1_767_225_600)

    return len(facts) / min(timed(all_of_them) for _ in range(3))


if __name__ == "__main__":
    main()

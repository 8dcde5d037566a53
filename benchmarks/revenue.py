"""How fast revenue is derived: the ledger rebuilt from PostgreSQL to PostgreSQL, one customer's refresh, pricing.

    python benchmarks/revenue.py                       1,000,000 subscriptions, 3,000,000 spans (about ten minutes)
    python benchmarks/revenue.py --subscriptions 50000

The database is the embedded one, which writes through to the disk. Rebuilds are told as multiples of what DuckDB takes
to look once at the same changes with a window (the stock of every unit after each), in the same run; both with as many
threads as the machine has. A rebuild reads all spans, derives all movements, compares them with those that stand and
writes what differs: nothing, the second time.
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
from zoneinfo import ZoneInfo

from sqlalchemy import Engine, text

from tidegate.connections import accounts
from tidegate.pricing.given import given
from tidegate.pricing.policy import policy
from tidegate.pricing.subscription import value
from tidegate.revenue import duck, editions, rebuild
from tidegate.store.embedded import Embedded
from tidegate.store.engine import open_engine
from tidegate.workflows import refresh
from tidegate.workflows.ledger_policy import write_movements
from tidegate.workflows.migrate import migrate

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
            engine.dispose()
        finally:
            server.stop()
    figures |= {"subscriptions priced a second": priced()}
    figures |= {"peak memory, MB": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024}
    sys.exit(0 if told(figures) else 1)


BOUNDS: dict[str, tuple[str, float]] = {
    "the expression alone, × the window": ("at most", 1.5),
    "rebuild with nothing to write, × the window": ("at most", 6),
    "one customer's refresh, ms": ("at most", 20),
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
    has two customers.
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
insert into tidegate.contacts (livemode, kind, external_id, made_by)
select false, 'account', 'c' || n, 'stripe' from generate_series(1, :n) n where n % 10 <> 0"""),
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
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as db:
        db.execute(text("analyze"))


def measured(engine: Engine, rounds: int) -> dict[str, float]:
    """Seconds and ratios of a window over all changes, of the expression, and of whole rebuilds."""
    with engine.begin() as db:
        ledger = editions.begin(db, "bench")
        first = timed(lambda: write_movements(db, ledger))
    window: list[float] = []
    alone: list[float] = []
    again: list[float] = []
    for _ in range(rounds):
        with rebuild.opened() as work, engine.begin() as db:
            work.read_spans(db, ledger)
            window.append(timed(lambda: work.db.execute(WINDOW)))
            alone.append(timed(lambda: duck.derive(work.db, ledger.policy, ZoneInfo("UTC"))))
        with engine.begin() as db:
            again.append(timed(lambda: write_movements(db, ledger)))
    base = statistics.median(window)
    with engine.connect() as db:
        spans = db.execute(text("select count(*) from tidegate.spans")).scalar_one()
    return {
        "spans": spans,
        "the window, s": base,
        "the expression alone, s": statistics.median(alone),
        "the expression alone, × the window": statistics.median(alone) / base,
        "rebuild with nothing to write, s": statistics.median(again),
        "rebuild with nothing to write, × the window": statistics.median(again) / base,
        "rebuild from nothing, s": first,
        "rebuild from nothing, × the window": first / base,
    }


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

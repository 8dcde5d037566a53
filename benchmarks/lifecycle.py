"""How fast everybody is placed: stages, segments and health of all contacts, against one reading of the same table.

    python benchmarks/lifecycle.py                     1,000,000 contacts (some minutes)
    python benchmarks/lifecycle.py --contacts 50000
    python benchmarks/lifecycle.py --first 1000000     the first placing of a million, too (many minutes)

The table has the facts of every contact, of all stages and segments. Told are the seconds of health and of placing
beside those of one sequential scan that reads every column of the table: after a hundredth changed, and where
nothing did. The first placing, when everybody comes into a stage and each reason is written, is that of the first
contacts; the others are copies of them, history and alerts and all.
"""

import argparse
import os
import resource
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

from sqlalchemy import Engine, text

from tidegate.lifecycle import alerts, health, placing, rulebook
from tidegate.store.embedded import Embedded
from tidegate.store.engine import open_engine
from tidegate.workflows.lifecycle import lifecycle
from tidegate.workflows.operation.migrate import migrate

NOW = datetime(2026, 3, 15, 12, tzinfo=UTC)
TARGET = 10


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--contacts", type=int, default=1_000_000)
    parser.add_argument("--first", type=int, default=100_000, help="contacts of the first placing")
    parser.add_argument("--rounds", type=int, default=2)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="tidegate-bench-") as folder:
        Path(folder).chmod(0o755)
        server = Embedded(Path(folder) / "home").start()
        try:
            engine = open_engine(server.url())
            migrate(engine)
            placed = min(args.first, args.contacts)
            fill(engine, placed)
            began = time.perf_counter()
            first = lifecycle.keep(engine, as_of=NOW)
            took = time.perf_counter() - began
            held = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
            copy(engine, placed, args.contacts)
            rounds = [measured(engine, place) for place in range(args.rounds)]
            still = [measured(engine, None) for _ in range(args.rounds)]
            engine.dispose()
        finally:
            server.stop()
    scan = statistics.median(one["scan"] for one in rounds)
    print(f"\nlifecycle: {args.contacts:,} contacts, load {os.getloadavg()[0]:.1f}")
    sized = f", a million: about {took / placed * 1e6 / 60:.0f} min" if placed < 1_000_000 else ""
    print(f"  first placing of {placed:,}: {took:.0f} s, {placed / took:,.0f}/s, {held:,.0f} MB{sized}")
    print(f"  {first.opened:,} alerts opened by it")
    print(f"  one sequential scan {scan:.2f} s")
    for name in ("health", "placing", "alerts"):
        seconds = statistics.median(one[name] for one in rounds)
        print(f"  {name:8} {seconds:6.2f} s   {seconds / scan:5.1f} × the scan")
    whole = statistics.median((one["health"] + one["placing"]) / one["scan"] for one in rounds)
    idle = statistics.median((one["health"] + one["placing"]) / one["scan"] for one in still)
    print(
        f"  health, stages and segments: {whole:.1f} × the scan (target {TARGET}); {idle:.1f} × where nothing changed"
    )
    print(f"\n{'missed: placing' if whole > TARGET else 'all targets met'}")
    sys.exit(1 if whole > TARGET else 0)


def measured(engine: Engine, place: int | None) -> dict[str, float]:
    """Seconds of a scan, of health, of stages and segments, of alerts, after a hundredth changed; None: nothing did,
    and no time went by.
    """
    at = NOW + timedelta(minutes=15 * (place + 1 if place is not None else 3))
    with engine.begin() as db:
        if place is not None:
            db.execute(_CHANGE, {"place": place})
    found: dict[str, float] = {}
    with engine.begin() as db:
        db.execute(text("set local max_parallel_workers_per_gather = 0"))
        found["scan"] = _seconds(lambda: db.execute(_SCAN).all())
    with engine.begin() as db:
        found["health"] = _seconds(lambda: health.keep(db, rulebook.components(db), at))
        rules = rulebook.load(db)

        found["placing"] = _seconds(lambda: placing.place(db, rules, at))
        found["alerts"] = _seconds(lambda: alerts.keep(db, rulebook.alert_rules(db), at))
    return found


def _seconds(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def fill(engine: Engine, contacts: int, now: datetime = NOW) -> None:
    """Contacts with facts of every kind, as they stand `now`."""
    with engine.begin() as db:
        for statement in _FILL:
            db.execute(text(statement), {"contacts": contacts, "now": now})
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as db:
        db.execute(text("vacuum analyze"))


def copy(engine: Engine, placed: int, contacts: int) -> None:
    """Copies of the first `placed` contacts, until there are so many: with what is kept of each."""
    for start in range(placed, contacts, placed):
        with engine.begin() as db:
            db.execute(text("set local session_replication_role = replica"))
            values = {"start": start, "many": min(placed, contacts - start)}
            for table, key in _COPIED.items():
                listed = "select column_name from information_schema.columns where table_schema = 'tidegate' and "
                names = db.scalars(text(f"{listed} table_name = :table and is_identity = 'NO'"), {"table": table})
                others = [name for name in names if name != key]
                kept = ", ".join("external_id || '-' || :start" if one == "external_id" else one for one in others)
                identity = "overriding system value" if table == "contacts" else ""
                db.execute(
                    text(f"""
insert into tidegate.{table} ({key}, {", ".join(others)}) {identity}
select {key} + :start, {kept} from tidegate.{table} where {key} <= :many"""),
                    values,
                )
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as db:
        db.execute(text("vacuum analyze"))


_COPIED = {
    "contacts": "key",
    "contact_facts": "contact",
    "contact_lifecycle": "contact",
    "memberships": "contact",
    "health_history": "contact",
    "alerts": "contact",
}

_SCAN = text("select count(*), sum(hashtext(l::text)::bigint) from tidegate.contact_lifecycle l")

_CHANGE = text("""
update tidegate.contact_lifecycle set mrr_total = mrr_total + 500, past_due_since = null
where contact % 100 = :place""")

_FILL = (
    """
insert into tidegate.contacts (livemode, kind, external_id, name, email, made_by)
select false, 'account', 'acct-' || n, 'Company ' || n, 'ada' || n || '@example.com', 'api'
from generate_series(1, :contacts) n""",
    """
insert into tidegate.contact_facts (contact, mrr, statuses, subscriptions, customer_since, renews_at, churned_at)
select key, jsonb_build_object('usd', (key % 1500) * 100000000), array[case key % 10 when 0 then 'canceled' when 1 then
  'trialing' when 2 then 'past_due' else 'active' end], 1,
  cast(:now as timestamptz) - make_interval(days => (key % 900)::int),
  case when key % 10 > 2 then cast(:now as timestamptz) + make_interval(days => (key % 365)::int) end,
  case when key % 10 = 0 then cast(:now as timestamptz) - make_interval(days => (key % 300)::int) end
from tidegate.contacts""",
    """
insert into tidegate.contact_lifecycle (contact, status, country, currencies, intervals, quantity, packages, mrr_total,
  open_total, mrr_trend, interval_months, failed_attempts, failing_invoices, past_due_since, latest_invoice_status,
  renewals, renewal_months, past_dues, card_expires_at, cards, backup_until,
  card_backups, usage_share, last_active_at)
select key, case key % 10 when 0 then 'canceled' when 1 then 'trialing' when 2 then 'past_due' else 'active' end, 'DE',
  array['usd'], array['month'], key % 40, array['pro'], key % 1500, 0, 0.8 + (key % 40) / 100.0, 1,
  case when key % 10 = 2 then 1 else 0 end, case when key % 10 = 2 then array['in_' || key] else '{}' end,
  case when key % 10 = 2 then cast(:now as timestamptz) - make_interval(days => (key % 20)::int) end, 'paid',
  case when key % 10 > 2 then array[cast(:now as timestamptz) + make_interval(days => (key % 365)::int)] else '{}' end,
  case when key % 10 > 2 then array[1] else '{}' end,
  case when key % 10 = 2 then array[cast(:now as timestamptz) - make_interval(days => (key % 20)::int)] else '{}' end,
  cast(:now as timestamptz) + make_interval(days => (key % 1000)::int),
  array[cast(:now as timestamptz) + make_interval(days => (key % 1000)::int)],
  case when key % 3 = 0 then timestamptz '9999-01-01Z' end,
  array[case when key % 3 = 0 then timestamptz '9999-01-01Z' end], (key % 100) / 100.0,
  cast(:now as timestamptz) - make_interval(days => (key % 60)::int)
from tidegate.contacts""",
)


if __name__ == "__main__":
    main()

"""How fast pages answer where there is much: 100,000 contacts, 3,000,000 movements, 1,000,000 rows and requests.

    python benchmarks/pages.py                     all of it (about fifteen minutes, most of them filling)
    python benchmarks/pages.py --contacts 10000 --rounds 5
    python benchmarks/pages.py --home /tmp/crowd   fills a database there, and finds it filled the next time
    python benchmarks/pages.py --home /tmp/crowd --only /revenue

Every page that there is is asked for, of the menu or of one thing, one after another, of a web process of its own;
one that nobody thought of here ends it. Told is the 95th percentile of each, what it took the first time (reports
that take long are kept by that, see `workflows.kept_reports`; where that takes longer than a page may wait, a worker
reads them: here in between), and what the first paint takes over the network: the page, its style sheets and scripts,
compressed; ECharts comes after it. How fast the machine is at the moment stands above and below: a million rows are
counted in about 80 ms by a machine that has nothing else to do.
"""

import argparse
import re
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx
from entitlements import serving
from sqlalchemy import Engine, text
from starlette.routing import Route

from support import crowd
from tidegate.security import tokens
from tidegate.store.embedded import Embedded
from tidegate.store.engine import open_engine
from tidegate.web.navigation import SECTIONS
from tidegate.workflows import kept_reports
from tidegate.workflows.operation import users
from tidegate.workflows.operation.migrate import migrate

COUNTED = ("contacts", "movements", "sync_rows", "requests")
SLOWEST = 300  # milliseconds
HEAVIEST = 150_000  # bytes
CONTACT = "account:acct-42"
OTHERS = (
    "/parts/status",
    "/contacts?search=Company+4242",
    "/contacts?sort=name&page=40",
    "/contacts?stage=at_risk",
    "/contacts?risk=any",
    "/contacts?renews=30&sort=renewal",
    "/contacts?paying=usd&sort=mrr",
    "/contacts?package=package-1&version=2",
    "/contacts?mapping=2",
    "/contacts?feature=feature-2",
    "/contacts.csv?search=Company+4242",
    f"/contacts/{CONTACT}",
    f"/timelines/{CONTACT}",
    f"/contacts/invoices/{CONTACT}",
    f"/contacts/why/{CONTACT}?fact=feature-2",
    f"/contacts/edit/{CONTACT}",
    f"/contacts/merge/{CONTACT}",
    f"/contacts/override/{CONTACT}",
    f"/subscriptions/{CONTACT}",
    "/contacts/customers/cus_50?connection=bench",
    "/search?q=Company+42",
    "/packages/package-1",
    "/packages/package-1/remove",
    "/features/feature-2",
    "/mappings/map",
    "/mappings/subscriptions?of=waiting:price_4",
    "/mappings/subscriptions?of=product:prod_3",
    "/mappings/subscriptions?of=suggestion:package:product-0",
    "/mappings/suggestions",
    "/revenue?currency=eur",
    "/revenue/movements",
    "/revenue/movements?kind=churn",
    f"/revenue/movements?contact={CONTACT}",
    "/revenue/retention?months=24",
    "/revenue/cohorts?months=24&of=contacts",
    "/revenue/trials?months=24",
    *(f"/revenue/groups?by={by}" for by in ("product", "price", "interval", "country", "currency")),
    "/revenue/renewals?days=365",
    "/revenue/renewals?owner=owner-1&page=3",
    "/revenue/renewals?days=365&each=contact",
    "/revenue/renewals/at-risk",
    "/revenue/trials/begun",
    "/revenue/trials/ended",
    "/revenue/trials/changed?before=-new&currency=usd",
    "/revenue/explain",
    f"/revenue/explain?contact={CONTACT}",
    "/stages/edit",
    "/stages/report/moves",
    "/stages/report/drivers",
    "/stages/report/drivers?of=free",
    "/segments/edit",
    "/alerts?state=resolved",
    "/actions/~new",
    "/actions/payment-failed",
    "/actions/payment-failed/edit",
    "/syncs/rows",
    "/syncs/-/new",
    "/syncs/rows/edit",
    "/syncs/rows/plan",
    "/syncs/rows/rows?row=4242",
    "/syncs/rows/runs/1",
    "/syncs/rows/runs/1?status=failed",
    "/syncs/rows/runs/1?status=done&operation=update",
    "/syncs/rows/runs/1?status=done&operation=delete",
    "/syncs/rows/runs/1?rows=skipped",
    "/syncs/rows/runs/1/revert",
    "/syncs/rows/requests/4242",
    "/models/-/new",
    "/models/rows",
    "/destinations/-/new",
    "/destinations/hooks",
    "/destinations/hooks/edit",
    "/destinations/hooks/deliveries",
    "/destinations/hooks/deliveries?state=dead",
    "/destinations/hooks/deliveries?state=delivered",
    "/mirror/find?id=cus_42",
    "/mirror/bench/customers",
    "/mirror/bench/customers?state=deleted",
    "/mirror/bench/subscriptions",
    "/mirror/bench/subscription_items",
    "/mirror/bench/invoices",
    "/mirror/bench/customers/cus_42",
    "/mirror/bench/subscriptions/sub_41",
    "/mirror/bench/subscription_items/si_41?parent=sub_41",
    "/inbox?state=parked",
    "/inbox/find?event=evt_42",
    "/inbox/bench/evt_42",
    "/audits/{audit}",
    "/connections/bench",
    "/connections/bench/disconnect",
    "/connections/bench/import",
    "/connections/bench/import/progress",
    "/session",
    "/signed-in",
    "/login",
    "/welcome?link={link}",
)
"""What is asked for beside the menu: each page at least once."""
ELSEWHERE = re.compile(r"\.csv$|^/static/|/events$|^/api/integrations/|^/login/|/accounts$")
"""No pages: files, which are sent as they are read; streams; ways to other sites and back; a platform's accounts."""
MOVED = {"/login", "/syncs/rows/plan", "/mirror/find?id=cus_42", "/inbox/find?event=evt_42"}
"""What only sends one on."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--contacts", type=int, default=100_000)
    parser.add_argument("--rounds", type=int, default=25, help="how often each page is asked for")
    parser.add_argument("--home", type=Path, help="a folder that keeps the database")
    parser.add_argument("--only", nargs="+", default=[""], help="pages whose address begins so")
    args = parser.parse_args()
    with ExitStack() as at_the_end:
        home = args.home or Path(at_the_end.enter_context(tempfile.TemporaryDirectory(prefix="tidegate-bench-")))
        home.mkdir(exist_ok=True)
        home.chmod(0o755)
        server = Embedded(home / "home").start()
        at_the_end.callback(server.stop)
        engine = open_engine(server.url())
        at_the_end.callback(engine.dispose)
        migrate(engine)
        with engine.connect() as db:
            filled = db.scalar(text("select exists (select from tidegate.connections)"))
        if not filled:
            crowd.fill(engine, args.contacts, home)
        counted(engine)
        sound = told(engine, server.home, args.rounds, args.only)
    print("all targets met" if sound else "missed")
    sys.exit(0 if sound else 1)


def counted(engine: Engine) -> None:
    """Prints how much there is."""
    with engine.connect() as db:
        numbers = {name: db.scalar(text(f"select count(*) from tidegate.{name}")) for name in COUNTED}
    print(", ".join(f"{number:,} {name}" for name, number in numbers.items()), flush=True)
    counted_fast(engine)


def counted_fast(engine: Engine) -> None:
    """Prints how fast the machine is."""
    with engine.connect() as db:
        began = time.perf_counter()
        db.execute(text("select count(*) from generate_series(1, 1000000)"))
        print(f"(a million rows counted in {(time.perf_counter() - began) * 1000:.0f} ms)", flush=True)


def told(engine: Engine, home: Path, rounds: int, only: Sequence[str]) -> bool:
    """Prints what each page takes; whether all hold."""
    with engine.begin() as db:
        _, token = tokens.create(db, f"bench {time.time()}", ["admin", "revenue"])
        audit = db.scalar(text("select max(id) from tidegate.runs where kind = 'audit'"))
    named = {"audit": audit, "link": users.first_link(engine)}
    sound = True
    with serving(home) as port, httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=120) as client:
        signed_in = client.post("/login", data={"token": token}, headers={"Sec-Fetch-Site": "same-origin"})
        client.headers["Cookie"] = signed_in.headers["set-cookie"].partition(";")[0]
        for path in wanted(named):
            if path.startswith(tuple(only)):
                sound = shown(engine, client, path, rounds) and sound
    counted_fast(engine)
    print(f"(targets: {SLOWEST} ms, {HEAVIEST / 1000:.0f} kB)")
    return sound


def wanted(named: Mapping[str, Any]) -> Sequence[str]:
    """The addresses of all pages. Ends where there is a page that none of them is of."""
    paths = [one.path for _, pages in SECTIONS for one in pages]
    paths += [path.format(**named) for path in OTHERS]
    forgotten = [path for path, pattern in _routes() if not any(pattern.match(one.partition("?")[0]) for one in paths)]
    if forgotten:
        raise SystemExit(f"pages that nobody asks for: {', '.join(forgotten)}")
    return paths


def _routes() -> Iterator[tuple[str, re.Pattern[str]]]:
    """Path and pattern of every page that is read."""
    from unittest.mock import MagicMock

    from tidegate.web.app import every_page

    for page in every_page(MagicMock()):
        if page.method == "GET" and not ELSEWHERE.search(page.path):
            yield page.path, Route(page.path, lambda _: None).path_regex  # type: ignore[arg-type]


def shown(engine: Engine, client: httpx.Client, path: str, rounds: int) -> bool:
    """Asks for a page and prints what it takes; whether that holds."""
    began = time.perf_counter()
    try:
        first = client.get(path)
    except httpx.TransportError:  # the page before failed, and its connection went with it
        first = client.get(path)
    while first.status_code == 503 and kept_reports.renew(engine, seconds=600):
        first = client.get(path)
    at_first = (time.perf_counter() - began) * 1000
    if first.status_code != (303 if path in MOVED else 200):
        print(f"{path:<52} ANSWERED {first.status_code}", flush=True)
        return False
    taken = [asked(client, path) for _ in range(rounds)]
    slow = statistics.quantiles(taken, n=20)[-1]
    paint = first_paint(client, first) if "html" in first.headers.get("content-type", "") else 0
    kept = slow <= SLOWEST and paint <= HEAVIEST
    p50, why = statistics.median(taken), "" if kept else "  MISSED"
    print(
        f"{path:<52} p95 {slow:8.1f} ms   p50 {p50:8.1f}   first {at_first:8.1f}   paint {paint / 1000:6.1f} kB{why}",
        flush=True,
    )
    return kept


def asked(client: httpx.Client, path: str) -> float:
    """Milliseconds until the whole page is there."""
    began = time.perf_counter()
    client.get(path)
    return (time.perf_counter() - began) * 1000


def first_paint(client: httpx.Client, page: httpx.Response) -> int:
    """Bytes that come over the network for the first paint: the page, its style sheets and scripts."""
    linked = re.findall(r'(?:src|href)="(/static/[^"?]+\.(?:css|js|svg)(?:\?[^"]*)?)"', page.text)
    return sum(one.num_bytes_downloaded for one in (page, *(client.get(path) for path in sorted({*linked}))))


if __name__ == "__main__":
    main()

"""One figure on every path: the same MRR, movements, churn, renewals and risks wherever somebody looks for them."""

import csv
import io
import json
import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from fractions import Fraction
from html import unescape
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pyarrow.parquet
import pytest
from cryptography.fernet import Fernet
from httpx import Client
from sqlalchemy import text
from tests.support.command_line import in_process
from tests.support.importing import connected, imported
from tests.support.visiting import sign_in, visited

from tidegate.contacts import policy
from tidegate.lifecycle import digest_contents, portfolio
from tidegate.money import half_away, shown
from tidegate.revenue import rate_files
from tidegate.revenue.bridge import KINDS
from tidegate.revenue.rounding import UNIT, whole
from tidegate.sandbox import Sandbox
from tidegate.sandbox.config import SandboxConfig
from tidegate.security import tokens
from tidegate.settings import Settings
from tidegate.store.engine import open_engine
from tidegate.wiring import Hub
from tidegate.workflows import refresh
from tidegate.workflows.lifecycle import lifecycle
from tidegate.workflows.operation.export import export
from tidegate.workflows.revenue import exclusions, ledger_policy

pytestmark = pytest.mark.further

ZONE = ZoneInfo("America/New_York")
"""Far from UTC, in which the exchange rates, the digest and Stripe count."""
MONTHS = 12
BASE = "usd"
AHEAD = 30

Key = tuple[str, str, str]
"""A month, a currency and a kind of movement."""
Ask = Callable[..., Any]


@pytest.fixture(scope="module")
def hub(database_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hub]:
    """A company whose present is now, of whom one payer is left out, each customer a contact, with all that is kept."""
    home, key = tmp_path_factory.mktemp("home"), Fernet.generate_key().decode()
    engine = open_engine(database_url)
    hub = Hub(Settings(home=home, database_url=database_url, secret_key=key), engine)  # pyright: ignore[reportArgumentType]
    today = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    with Sandbox.start(SandboxConfig(customers=80, months=MONTHS, as_of=int(today.timestamp()))) as sandbox:
        account = connected(hub, sandbox)
        with engine.begin() as db:
            policy.store(db, account.name, policy.checked({"create_missing": True}))
        imported(hub, account)
    refresh.refresh_all(engine, account)
    ledger_policy.adopt(engine, account, {"time_zone": ZONE.key, "base_currency": ""}, "test")
    exclusions.exclude(engine, account, _largest(hub), "a colleague", "test")
    refresh.refresh_all(engine, account)
    lifecycle.keep(engine, as_of=datetime.now(UTC))
    yield hub
    hub.close()
    engine.dispose()


def _largest(hub: Hub) -> str:
    return _rows(hub, "select customer from tidegate.spans where ends_at is null order by mrr desc limit 1")[0].customer


def _rows(hub: Hub, sql: str, **values: Any) -> list[Any]:
    with hub.engine.connect() as db:
        return list(db.execute(text(sql), values))


@pytest.fixture
def run(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> Ask:
    """What a command says with --json, in this process."""
    tell = in_process(hub, monkeypatch)
    return lambda *words: json.loads(tell(*words, "--json"))


@pytest.fixture
def site(hub: Hub) -> Iterator[Client]:
    with visited(hub) as client:
        sign_in(hub, client)
        with hub.engine.begin() as db:
            _, token = tokens.create(db, "dashboard", ["revenue"])
        client.headers["Authorization"] = f"Bearer {token}"
        yield client


@pytest.fixture
def got(site: Client) -> Ask:
    def ask(path: str, **asked: Any) -> Any:
        answer = site.get(f"/api/revenue/{path}", params={name.rstrip("_"): value for name, value in asked.items()})
        assert answer.status_code == 200, answer.text
        return answer.json()

    return ask


@pytest.fixture
def moved(hub: Hub) -> "Counter[Key]":
    """The sums by day, by month, currency and kind; exact, in millionths of a minor unit."""
    return Counter(
        {
            (row.month, row.currency, row.kind): int(row.amount)
            for row in _rows(
                hub,
                """
select to_char(d.day, 'YYYY-MM') as month, d.currency, d.kind, sum(d.amount) as amount
from tidegate.mrr_days d join tidegate.ledgers l using (connection, edition)
where l.retired_at is null and d.kind <> 'transfer' group by 1, 2, 3""",
            )
        }
    )


def test_in_their_own_currencies(
    hub: Hub, run: Ask, got: Ask, site: Client, moved: "Counter[Key]", tmp_path: Path
) -> None:
    months = sorted({month for month, *_ in moved})
    first = f"{months[0]}-01"
    stands, closings = Counter[str](), dict[tuple[str, str], int]()
    for month in (_month(date.fromisoformat(first), one) for one in range(60)):
        for (when, currency, _), amount in moved.items():
            stands[currency] += amount if when == month else 0
        closings |= {(month, currency): amount for currency, amount in stands.items()}
    assert stands.keys() == {"usd", "eur", "jpy"}
    assert min(stands.values()) > 0

    rows = run("mrr", "--by", "month", "--from", first)["rows"]
    assert {row["period"] for row in rows} >= {*months}
    assert {(row["period"], row["currency"]): row["mrr"] for row in rows} == {
        (row["period"], row["currency"]): whole(closings[row["period"], row["currency"]]) for row in rows
    }
    for row in rows:
        assert row["opening"] + sum(row[kind] for kind in KINDS) == row["mrr"]
        for kind in KINDS:
            assert abs(row[kind] - moved[row["period"], row["currency"], kind] / UNIT) < 1, "fitted, so that it adds up"
    assert {kind for kind in KINDS if any(row[kind] for row in rows)} == {*KINDS}
    assert got("mrr", by="month", from_=first)["rows"] == rows

    figures = run("metrics", "--by", "month", "--from", first)["rows"]
    assert got("metrics", by="month", from_=first)["rows"] == figures
    bridge = ("period", "currency", "opening", *KINDS, "mrr")
    assert _only(figures, *bridge) == _only(rows, *bridge)
    assert [row["net_new"] for row in figures] == [row["mrr"] - row["opening"] for row in rows]
    assert {_month_of(row): row["contacts"] for row in figures} == _contacts(hub, figures)

    _pages_say(site, figures)
    _overview_says(site, run)
    _exported_says(hub, moved, tmp_path)
    _listed_says(run, got, moved, first)
    _digests_say(hub, moved, months)
    _facts_say(hub, stands)
    _explained_says(hub, run, stands)

    now = {row["currency"]: row["mrr"] for row in run("mrr")["rows"]}
    assert now == {currency: whole(amount) for currency, amount in stands.items()}
    at = run("mrr", "--at", f"{months[-2]}-28")["rows"]
    assert got("mrr", at=f"{months[-2]}-28")["rows"] == at


def _month(first: date, number: int) -> str:
    year, month = divmod(first.year * 12 + first.month - 1 + number, 12)
    return f"{year}-{month + 1:02}"


def _month_of(row: Mapping[str, Any]) -> tuple[str, str]:
    return row["period"], row["currency"]


def _only(rows: list[dict[str, Any]], *names: str) -> list[tuple[Any, ...]]:
    return sorted(tuple(row[name] for name in names) for row in rows)


def _contacts(hub: Hub, figures: list[dict[str, Any]]) -> dict[tuple[str, str], dict[str, int]]:
    """Of the contacts' own balances: how many there were, came, came back, contracted, went and are."""
    moves = _rows(
        hub,
        """
select m.unit, m.currency, to_char(m.day, 'YYYY-MM') as month, sum(m.amount)::bigint as amount
from tidegate.movements m join tidegate.ledgers l using (connection, edition)
where l.retired_at is null and m.superseded_at is null group by 1, 2, 3""",
    )
    told: dict[tuple[str, str], dict[str, int]] = {}
    for row in figures:
        balances: dict[str, list[int]] = {}
        ever: set[str] = set()
        for move in moves:
            if move.currency == row["currency"]:
                of = balances.setdefault(move.unit, [0, 0])
                of[0] += move.amount if move.month < row["period"] else 0
                of[1] += move.amount if move.month <= row["period"] else 0
                ever |= {move.unit} if move.month < row["period"] else set()
        sides = balances.items()
        told[_month_of(row)] = {
            "opening": sum(1 for _, (before, _after) in sides if before > 0),
            "new": sum(1 for unit, (before, after) in sides if before <= 0 < after and unit not in ever),
            "returned": sum(1 for unit, (before, after) in sides if before <= 0 < after and unit in ever),
            "contracted": sum(1 for _, (before, after) in sides if before > after > 0),
            "lost": sum(1 for _, (before, after) in sides if after <= 0 < before),
            "closing": sum(1 for _, (_before, after) in sides if after > 0),
        }
    return told


def _drawn(page: str) -> dict[str, Any]:
    return json.loads(re.findall(r'<script type="application/json" id="mrr-data">(.*?)</script>', page, re.S)[0])


def _cells(page: str) -> list[list[str]]:
    """What a page's tables say, row by row."""
    rows = re.findall(r"<tr[^>]*>(.*?)</tr>", page, re.S)
    return [
        [" ".join(unescape(re.sub(r"<[^>]*>", " ", cell)).split()) for cell in re.findall(r"<td.*?</td>", row, re.S)]
        for row in rows
    ]


def _said(amount: int, currency: str) -> str:
    return shown(amount, currency) if amount else "–"


def _pages_say(site: Client, figures: list[dict[str, Any]]) -> None:
    """The page of revenue draws and lists what the metrics say."""
    for currency in sorted({row["currency"] for row in figures}):
        page = site.get(f"/revenue?currency={currency}").text
        drawn = _drawn(page)
        those = [row for row in figures if row["currency"] == currency and row["period"] in drawn["periods"]]
        assert len(those) > 6
        assert drawn["mrr"][-len(those) :] == [row["mrr"] for row in those]
        for of in drawn["kinds"]:
            assert of["values"][-len(those) :] == [row[of["kind"]] for row in those]
        listed = {row[0].removesuffix(" so far"): row for row in _cells(page) if row}
        for row in those:
            assert listed[row["period"]][1:8] == [
                shown(row["opening"], currency), *(_said(row[kind], currency) for kind in KINDS),
                shown(row["mrr"], currency),
            ]  # fmt: skip
        now = those[-1]
        tiles = dict(re.findall(r"<dt>([^<]+)</dt><dd><span[^>]*><a[^>]*>([^<]+)<", page))
        churn = "–" if now["gross_churn"] is None else f"{100 * now['gross_churn']:.1f} %"
        assert (tiles["MRR"], tiles["Gross churn"]) == (shown(now["mrr"], currency), churn)
        assert tiles["Net new this month"] == shown(now["net_new"], currency)
        assert tiles["Contacts"] == str(now["contacts"]["closing"])


def _overview_says(site: Client, run: Ask, currencies: tuple[str, ...] = ("usd", "eur", "jpy")) -> None:
    """The overview's steps are those of its days."""
    for currency in currencies:
        steps = {one["name"]: one["value"] for one in _drawn(site.get(f"/?currency={currency}&days=365").text)["steps"]}
        begin, *names, end = steps
        by_day = [
            row
            for row in run("mrr", "--by", "day", "--from", begin, "--to", end)["rows"]
            if row["currency"] == currency
        ]
        assert len(by_day) == 365
        assert (steps[begin], steps[end]) == (by_day[0]["opening"], by_day[-1]["mrr"])
        for kind in (*KINDS, "fx"):
            assert abs(steps.get(kind, 0) - sum(row[kind] for row in by_day)) <= len(by_day) / 2
        assert {*names} <= {*KINDS, "fx"}


def _exported_says(hub: Hub, moved: "Counter[Key]", directory: Path) -> None:
    """The export of the ledger sums up to the same, and its open spans to what stands."""
    export(hub.engine, hub.account(), directory / "out", "parquet")
    sums = Counter[Key]()
    for row in pyarrow.parquet.read_table(directory / "out/movements.parquet").to_pylist():
        if row["kind"] != "transfer":
            sums[f"{row['day']:%Y-%m}", row["currency"], row["kind"]] += row["amount"]
    assert sums == moved
    spans = pyarrow.parquet.read_table(directory / "out/spans.parquet").to_pylist()
    stands = Counter[str]()
    for row in spans:
        stands[row["currency"]] += row["mrr"] if row["ends_at"] is None else 0
    assert stands == _by_currency(moved)


def _by_currency(moved: "Counter[Key]") -> Counter[str]:
    found = Counter[str]()
    for (_, currency, _), amount in moved.items():
        found[currency] += amount
    return found


def _listed_says(run: Ask, got: Ask, moved: "Counter[Key]", first: str) -> None:
    """Movements one by one sum up to the same; each is rounded for itself."""
    listed = run("movements", "--from", first, "--limit", "10000")["movements"]
    found, after = list[Any](), ""
    while after is not None:
        page = got("movements", from_=first, limit=100, **({"after": after} if after else {}))
        found += page["movements"]
        after = page["next"]
    assert found == listed
    sums, counts = Counter[Key](), Counter[Key]()
    for row in listed:
        key = row["day"][:7], row["currency"], row["kind"]
        sums[key] += row["amount"]
        counts[key] += 1
    assert counts.keys() == {key for key, amount in moved.items() if amount}
    for key, amount in moved.items():
        assert abs(sums[key] - amount / UNIT) <= counts[key]


def _midnight(day: date) -> datetime:
    return datetime.combine(day, time(), ZONE)


def _digests_say(hub: Hub, moved: "Counter[Key]", months: list[str]) -> None:
    """Digests of whole months tell of what moved in them; their last second is the last before the next one's first."""
    livemode, second = hub.account().livemode, timedelta(seconds=1)
    for month in months:
        begin = date.fromisoformat(f"{month}-01")
        since, until = (_midnight(one) - second for one in (begin, date.fromisoformat(f"{_month(begin, 1)}-01")))
        with hub.engine.connect() as db:
            told = digest_contents.gathered(db, "", livemode, since, until, "weekly", ZONE)["movements"]
            movers = {(one["kind"], one["currency"]): one["contacts"] for one in told}
        assert {(month, one["currency"], one["kind"]): one["amount"] for one in told} == {
            key: whole(amount) for key, amount in moved.items() if key[0] == month and key in moved
        }
        assert movers == _movers(hub, month)


def _movers(hub: Hub, month: str) -> dict[tuple[str, str], int]:
    return {
        (row.kind, row.currency): row.movers
        for row in _rows(
            hub,
            """
select m.kind, m.currency, count(distinct m.unit) as movers
from tidegate.movements m join tidegate.ledgers l using (connection, edition)
where l.retired_at is null and m.superseded_at is null and m.kind <> 'transfer' and to_char(m.day, 'YYYY-MM') = :month
group by 1, 2""",
            month=month,
        )
    }


def _facts_say(hub: Hub, stands: "Counter[str]") -> None:
    """Every customer is a contact: what contacts are worth is all there is, and so it is in the portfolio."""
    told = _rows(
        hub,
        """
select m.key as currency, sum(m.value::numeric)::bigint as mrr
from tidegate.contact_facts f cross join lateral jsonb_each_text(f.mrr) m group by 1""",
    )
    assert {row.currency: row.mrr for row in told} == stands
    with hub.engine.connect() as db:
        [all_] = portfolio.of_owners(db, hub.account().livemode).values()
    assert {one["currency"]: one["mrr"] for one in all_["mrr"]} == {one: whole(stands[one]) for one in stands}


def _explained_says(hub: Hub, run: Ask, stands: "Counter[str]") -> None:
    """`explain mrr` tells of each contact what its facts do."""
    told = _rows(
        hub,
        """
select c.kind || ':' || c.external_id as ref, f.mrr from tidegate.contacts c
join tidegate.contact_facts f on f.contact = c.key order by c.key""",
    )
    sums, payers = Counter[str](), Counter[str]()
    for row in told:
        explained = {one["currency"]: one["mrr"] for one in run("explain", "mrr", row.ref)["mrr"] if one["mrr"]}
        assert explained == {currency: whole(int(amount)) for currency, amount in row.mrr.items()}, row.ref
        sums.update(explained)
        payers.update(explained.keys())
    for currency, amount in stands.items():
        assert abs(sums[currency] - amount / UNIT) <= payers[currency] / 2


def test_in_one_currency(hub: Hub, run: Ask, got: Ask, site: Client, moved: "Counter[Key]") -> None:
    """By rates that a file has, each day's own."""
    months = sorted({month for month, *_ in moved})
    first = date.fromisoformat(f"{months[0]}-01")
    today = datetime.now(ZONE).date()
    days = [first - timedelta(days=1) + timedelta(days=one) for one in range((today - first).days + 2)]
    rates = {
        "usd": {day: Decimal("1.05") + Decimal(number % 40) / 400 for number, day in enumerate(days)},
        "jpy": {day: Decimal(150) + Decimal(number % 23) / 3 for number, day in enumerate(days)},
    }
    with hub.engine.begin() as db:
        rate_files.store(db, rates, "test")
        stored = {
            (row.currency, row.day): Fraction(row.per_euro)
            for row in db.execute(text("select currency, day, per_euro from tidegate.currency_rates"))
        }
    native = run("mrr", "--by", "month", "--from", first.isoformat(), "--currency", "native")["rows"]
    ledger_policy.adopt(hub.engine, hub.account(), {"base_currency": BASE}, "test")
    refresh.refresh_all(hub.engine, hub.account())
    lifecycle.keep(hub.engine, as_of=datetime.now(UTC))
    try:
        rows = run("mrr", "--by", "month", "--from", first.isoformat())["rows"]
        assert {row["currency"] for row in rows} == {BASE}
        assert got("mrr", by="month", from_=first.isoformat())["rows"] == rows
        figures = run("metrics", "--by", "month", "--from", first.isoformat())["rows"]
        assert got("metrics", by="month", from_=first.isoformat())["rows"] == figures
        bridge = ("period", "currency", "opening", *KINDS, "fx", "mrr")
        assert _only(figures, *bridge) == _only(rows, *bridge)
        assert run("mrr", "--by", "month", "--from", first.isoformat(), "--currency", "native")["rows"] == native
        assert any(row["fx"] for row in rows)

        def into(amount: Fraction, currency: str, day: date) -> Fraction:
            euros = amount / stored.get((currency, day), Fraction(1))
            return euros * stored[BASE, day] / (1 if currency != "jpy" else Fraction(1, 100))

        by_day = _rows(
            hub,
            """
select d.day, d.currency, d.kind, d.amount from tidegate.mrr_days d join tidegate.ledgers l using (connection, edition)
where l.retired_at is null and d.kind <> 'transfer'""",
        )
        for row in rows:
            last = min(date.fromisoformat(row["to"]), today)
            stands, sums = Counter[str](), dict.fromkeys(KINDS, Fraction(0))
            for one in by_day:
                stands[one.currency] += one.amount if one.day <= last else 0
                if f"{one.day:%Y-%m}" == row["period"]:
                    sums[one.kind] += into(Fraction(int(one.amount), UNIT), one.currency, one.day)
            closing = sum(into(Fraction(int(amount), UNIT), one, last) for one, amount in stands.items())
            assert row["mrr"] == half_away(Fraction(closing).numerator, Fraction(closing).denominator), row["period"]
            for kind in KINDS:
                assert abs(row[kind] - sums[kind]) < 1
        _pages_say(site, figures)
        _overview_says(site, run, (BASE,))
        total = _rows(hub, "select sum(mrr_total) as total from tidegate.contact_lifecycle")[0].total
        assert abs(Fraction(total) * 100 - rows[-1]["mrr"]) <= len(_rows(hub, "select from tidegate.contacts"))
    finally:
        ledger_policy.adopt(hub.engine, hub.account(), {"base_currency": ""}, "test")


def test_what_renews_and_what_is_at_risk(hub: Hub, run: Ask, got: Ask, site: Client) -> None:
    """By subscription for revenue; by contact, with all that it pays, for overview and digest: there whoever is left
    out of revenue renews, too, and pays nothing.
    """
    told = run("renewals", "--days", str(AHEAD))
    renewing, at_risk = told["renewals"], told["at_risk"]
    assert len(renewing) > 5
    assert len({reason for one in at_risk for reason in one["reasons"]}) > 2
    assert got("renewals", days=AHEAD, limit=200)["renewals"] == renewing
    assert got("at-risk", limit=200)["subscriptions"] == at_risk
    for path, rows in (("renewals.csv", renewing), ("renewals/at-risk.csv", at_risk)):
        listed = csv.DictReader(io.StringIO(site.get(f"/revenue/{path}?days={AHEAD}").text))
        assert {row["subscription"]: Decimal(row["mrr"]) for row in listed} == {
            row["subscription"]: Decimal(shown(row["mrr"], row["currency"]).split()[0].replace(",", "")) for row in rows
        }
    for path, rows in (("renewals", renewing), ("renewals/at-risk", at_risk)):
        page = site.get(f"/revenue/{path}?days={AHEAD}").text
        amounts = Counter(re.findall(r"#(sub_\w+)\"[^>]*>([\d,.]+ [A-Z]{3})<", page))
        assert amounts == Counter((row["subscription"], shown(row["mrr"], row["currency"])) for row in rows[:50])
    by_month = run("renewals", "--days", str(AHEAD), "--by", "month")["renewals"]
    sums = Counter[str]()
    for row in by_month:
        sums[row["currency"]] += row["mrr"]
    assert sums == _sums(renewing)

    contacts = {row["contact"] for row in renewing} | _left_out(hub)
    facts = {
        row.ref: {currency: int(amount) for currency, amount in row.mrr.items()}
        for row in _rows(
            hub,
            """
select c.kind || ':' || c.external_id as ref, f.mrr from tidegate.contacts c
join tidegate.contact_facts f on f.contact = c.key""",
        )
    }
    worth = Counter[str]()
    for one in contacts:
        worth.update(facts[one])
    now = datetime.now(UTC)
    with hub.engine.connect() as db:
        digest = digest_contents.gathered(db, "", hub.account().livemode, now - timedelta(days=7), now, "weekly", ZONE)
    assert digest["days"] == AHEAD
    assert digest["renewals"]["count"] == len(contacts)
    assert digest["renewals"]["mrr"] == {one: whole(amount) for one, amount in worth.items()}
    page = site.get("/").text
    assert f">{len(contacts)}</a> contacts, " in page
    for currency, amount in digest["renewals"]["mrr"].items():
        assert shown(amount, currency) in page


def _left_out(hub: Hub) -> set[str]:
    """The contacts of customers that are left out of revenue, and renew as soon."""
    return {
        row.ref
        for row in _rows(
            hub,
            """
select c.kind || ':' || c.external_id as ref from tidegate.exclusions e
join tidegate.links k using (connection, customer) join tidegate.contacts c on c.key = k.contact
join tidegate.contact_facts f on f.contact = c.key
where f.renews_at between now() and now() + make_interval(days => :days)""",
            days=AHEAD,
        )
    }


def _sums(rows: list[dict[str, Any]]) -> Counter[str]:
    found = Counter[str]()
    for row in rows:
        found[row["currency"]] += row["mrr"]
    return +found

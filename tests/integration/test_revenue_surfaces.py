"""Revenue on the command line and over HTTP, each command and route once, over one small ledger."""

import csv
import io
import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography.fernet import Fernet
from httpx import Client
from starlette.applications import Starlette
from starlette.responses import Response
from starlette.routing import Route
from tests.support import earning
from tests.support.command_line import in_process
from tests.support.earning import Books
from tests.support.queue import connect
from tests.support.serving import serving
from typer.testing import CliRunner

from tidegate.api.app import create_app
from tidegate.cli import app
from tidegate.revenue import editions
from tidegate.security import tokens
from tidegate.settings import Settings
from tidegate.wiring import Hub

TODAY = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
BEGUN, RAISED, GONE = (f"{TODAY - timedelta(days=days):%Y-%m-%d}" for days in (70, 40, 5))


@pytest.fixture(scope="module")
def books(database_url: str) -> Iterator[Books]:
    with earning.opened(database_url) as books:
        books.span("cus_a", 10_000, BEGUN, RAISED, price="price_basic")
        books.span("cus_a", 15_000, RAISED, price="price_pro")
        books.span("cus_b", 6_000, BEGUN, GONE)
        books.link("acme", "cus_a", tier="gold")
        yield books.keep()


@pytest.fixture(scope="module")
def hub(books: Books, database_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hub]:
    home, key = tmp_path_factory.mktemp("home"), Fernet.generate_key().decode()
    hub = Hub(Settings(home=home, database_url=database_url, secret_key=key), books.engine)  # pyright: ignore[reportArgumentType]
    yield hub
    hub.close()


Run = Callable[..., str]


@pytest.fixture
def run(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Runs a command in this process, on the hub, and returns what it prints."""
    return in_process(hub, monkeypatch)


def document(run: Run, *words: str) -> dict[str, Any]:
    return json.loads(run(*words, "--json"))


def failed(run: Run, *words: str) -> str:
    """What a command that refuses says."""
    return json.loads(run(*words, "--json", code=2))["error"]["message"]


def test_an_answer_has_one_form(run: Run) -> None:
    for command in (["mrr"], ["metrics"], ["movements"], ["events"], ["sql", "select 1"]):
        assert failed(run, *command, "--csv") == "Use --csv or --json, not both."


def test_a_csv_of_nothing_has_the_header_of_any(run: Run, books: Books) -> None:
    asked = (["mrr"], ["mrr", "--by", "day"], ["mrr", "--group-by", "contact"], ["metrics"], ["movements"])
    full = [run(*words, "--csv").splitlines() for words in asked]
    assert min(len(lines) for lines in full) > 1
    connect(books.engine, "bare")
    with books.engine.begin() as db:
        editions.begin(db, "bare")
    try:
        for words, lines in zip(asked, full, strict=True):
            assert run(*words, "--csv", "--connection", "bare").splitlines() == lines[:1]
        assert run("metrics", "--connection", "bare").strip() == ""
        assert "nothing was imported" in failed(run, "close", "2026-01", "--connection", "bare")
    finally:
        for table, column in (("ledgers", "connection"), ("permissions", "connection"), ("connections", "name")):
            books.execute(f"delete from tidegate.{table} where {column} = 'bare'")


def test_what_the_policy_leaves_open_is_said(hub: Hub, run: Run, books: Books) -> None:
    assert document(run, "mrr")["assumed"] == []
    books.execute("update tidegate.ledgers set preset = 'chartmogul'")
    try:
        assert "past_due" in document(run, "mrr")["assumed"]
        for words in (["mrr"], ["mrr", "--csv"], ["metrics"], ["movements"], ["cohorts"], ["renewals"]):
            done = CliRunner().invoke(app, words)
            assert "leaves past_due" in done.stderr, words
            assert "leaves past_due" not in done.stdout
    finally:
        books.execute("update tidegate.ledgers set preset = 'default'")


def test_mrr_now_and_at_a_day(run: Run) -> None:
    assert document(run, "mrr")["rows"] == [{"currency": "usd", "mrr": 15_000, "arr": 180_000}]
    before = document(run, "mrr", "--at", RAISED, "--group-by", "property:tier")
    assert [(one["group"], one["mrr"]) for one in before["rows"]] == [("gold", 15_000), ("", 6_000)]
    assert "150.00 USD" in run("mrr")
    run("mrr", "--at", "soon", code=2)
    run("mrr", "--at", "9999-12-31", code=2)
    for beside in (("--by", "day"), ("--from", BEGUN), ("--to", RAISED), ("--plot", "mrr.svg")):
        run("mrr", "--at", RAISED, *beside, code=2)
    [row] = csv.DictReader(io.StringIO(run("mrr", "--csv")))
    assert row == {"currency": "usd", "mrr": "150.00", "arr": "1800.00"}


def test_mrr_over_time_as_a_table_as_csv_and_as_a_picture(run: Run, tmp_path: Path) -> None:
    shown = run("mrr", "--by", "month", "--plot", str(tmp_path / "mrr.svg"))
    assert f"{TODAY:%Y-%m}…" in shown
    assert "150.00 USD" in shown
    assert "<polyline" in (tmp_path / "mrr.svg").read_text()
    run("mrr", "--by", "week", "--group-by", "price", "--plot", str(tmp_path / "mrr.png"))
    assert (tmp_path / "mrr.png").read_bytes().startswith(b"\x89PNG")
    rows = list(csv.DictReader(io.StringIO(run("mrr", "--by", "day", "--from", BEGUN, "--csv"))))
    assert (len(rows), rows[0]["new"], rows[-1]["mrr"]) == (71, "160.00", "150.00")
    assert "price_pro" in run("mrr", "--by", "month", "--group-by", "price")
    assert "Acme" in run("mrr", "--by", "month", "--group-by", "contact")


def test_movements(run: Run) -> None:
    told = document(run, "movements", "--from", BEGUN)
    assert [(one["kind"], one["amount"]) for one in told["movements"]] == [
        ("churn", -6_000), ("expansion", 5_000), ("new", 6_000), ("new", 10_000),
    ]  # fmt: skip
    assert [one["kind"] for one in document(run, "movements", "--contact", "acme")["movements"]] == ["expansion", "new"]
    assert "-60.00 USD" in run("movements")
    [row] = csv.DictReader(io.StringIO(run("movements", "--kind", "churn", "--csv")))
    assert (row["amount"], row["customers"]) == ("-60.00", "cus_b")
    run("movements", "--from", GONE, "--to", BEGUN, code=2)
    assert document(run, "movements", "--to", f"{TODAY - timedelta(days=60):%Y-%m-%d}")["movements"] != []


def test_metrics(run: Run) -> None:
    told = document(run, "metrics", "--by", "day", "--from", GONE, "--to", GONE)
    [day] = told["rows"]
    assert (day["churn"], day["contacts"]["lost"], day["customer_churn"]) == (-6_000, 1, 0.5)
    assert day["gross_churn"] == round(6 / 21, 6)
    assert "gross MRR churn" in run("metrics")
    assert "contacts_lost" in run("metrics", "--csv")


def test_cohorts_and_renewals(run: Run) -> None:
    told = document(run, "cohorts")
    assert told["cohorts"][0]["contacts"] == 2
    assert "first MRR" in run("cohorts")
    assert document(run, "renewals") | {"renewals": [], "at_risk": []} == document(run, "renewals")
    assert "at risk" in run("renewals")


def test_rates_are_imported_once(run: Run, tmp_path: Path) -> None:
    file = tmp_path / "rates.csv"
    file.write_text(f"date,currency,rate\n{TODAY:%Y-%m-%d},USD,1.5\n")
    assert document(run, "rates", "import", str(file))["written"] == 1
    assert document(run, "rates", "import", str(file))["written"] == 0
    assert document(run, "mrr", "--currency", "eur")["rows"][0]["mrr"] == 10_000
    assert "0 rates written" in run("rates", "import", str(file))
    bank = Starlette(routes=[Route("/rates.csv", lambda _: Response(file.read_bytes()))])
    with serving(bank) as url:
        assert document(run, "rates", "fetch", "--url", f"{url}/rates.csv")["written"] == 0
    run("rates", "fetch", "--url", f"{url}/rates.csv", code=2)


def test_a_month_is_closed_and_compared(run: Run) -> None:
    month = f"{TODAY.replace(day=1) - timedelta(days=1):%Y-%m}"
    assert document(run, "close", month)["month"] == month
    assert document(run, "close", month, "--diff")["customers"] == []
    assert "0 customers" in run("close", month, "--diff")
    assert month in run("close", "--list")
    run("close", month, code=2)
    run("close", code=2)
    assert "not closed" in failed(run, "close", "2020-01", "--diff")


def test_stripes_report_is_reconciled(run: Run, tmp_path: Path) -> None:
    file = tmp_path / "mrr.csv"
    file.write_text(f"Customer ID,Currency,{TODAY:%Y-%m}\ncus_a,usd,150.00\ncus_b,usd,1.00\n")
    [month] = document(run, "reconcile", str(file))["months"]
    assert (month["difference"], month["causes"]) == (100, {"unexplained": 100})
    assert "1 customers are the same" in run("reconcile", str(file))
    run("reconcile", str(file), "--month", "2020-01", code=2)
    run("reconcile", str(file), "--month", "9999-12", code=2)
    file.write_text(f"Customer ID,Currency,{TODAY:%Y-%m}\ncus_a,xag,150.00\n")
    done = CliRunner().invoke(app, ["reconcile", str(file)])
    assert "fx (rate missing) 150.00 XAG" in done.stdout
    assert "No rate of XAG" in done.stderr


def test_data_quality_and_explain(run: Run, books: Books) -> None:
    books.execute("insert into tidegate.unmapped_prices (connection, price) values ('acme', 'price_pro')")
    told = document(run, "data-quality", "--check", "item_without_mapping")
    assert [one["id"] for one in told["objects"]] == ["price_pro"]
    assert "/prices/price_pro" in run("data-quality")
    run("data-quality", "--check", "nothing", code=2)
    assert document(run, "explain", "mrr", "acme")["subscriptions"] == []
    assert "no subscription" in run("explain", "mrr", "acme")


@pytest.fixture(scope="module")
def client(hub: Hub, books: Books) -> Iterator[Client]:
    with serving(create_app(hub, ring_drain=lambda _db, _connection: None)) as url:
        with books.engine.begin() as db:
            _, token = tokens.create(db, "dashboard", ["revenue"])
        with Client(base_url=url, headers={"Authorization": f"Bearer {token}"}, timeout=30) as client:
            yield client


def got(client: Client, path: str, **asked: Any) -> dict[str, Any]:
    answer = client.get(f"/api/revenue/{path}", params=asked)
    assert answer.status_code == 200, answer.text
    return answer.json()


def test_revenue_over_http(client: Client) -> None:
    series = got(client, "mrr", **{"from": BEGUN, "by": "day", "limit": 60})
    assert (len(series["rows"]), series["rows"][0]["new"]) == (60, 16_000)
    assert got(client, "mrr", **{"from": BEGUN, "by": "day", "after": series["next"]})["rows"][-1]["mrr"] == 15_000
    first = got(client, "mrr", at=RAISED, group_by="contact")["rows"][0]
    assert (first["group"], first["name"]) == ("account:acme", "Acme")
    page = got(client, "movements", limit=3)
    assert [one["kind"] for one in page["movements"]] == ["churn", "expansion", "new"]
    assert [one["kind"] for one in got(client, "movements", after=page["next"])["movements"]] == ["new"]
    assert got(client, "metrics", by="day", **{"from": GONE, "to": GONE})["rows"][0]["grr"] == round(15 / 21, 6)
    assert got(client, "cohorts")["cohorts"][0]["contacts"] == 2
    assert got(client, "at-risk")["subscriptions"] == []
    assert got(client, "data-quality", limit=1)["next"] is None


def test_what_does_not_fit_is_a_problem(client: Client) -> None:
    for path, asked, status in (
        ("mrr", {"group_by": "plan"}, 422), ("mrr", {"from": "soon"}, 422), ("mrr", {"connection": "x"}, 404),
        ("movements", {"after": "x"}, 422), ("movements", {"after": "0001-01-01"}, 422),
        ("movements", {"after": "2026-01-01T00:00:00"}, 422), ("metrics", {"currency": "xyz"}, 422),
        ("data-quality", {"check": "x"}, 422), ("metrics", {"from": "0001-01-01"}, 422),
        ("mrr", {"at": "9999-12-31"}, 422), ("mrr", {"to": "9999-12-31"}, 422),
        ("mrr", {"at": RAISED, "by": "day"}, 422), ("mrr", {"at": RAISED, "from": BEGUN}, 422),
        ("movements", {"from": GONE, "to": BEGUN}, 422), ("cohorts", {"to": "9999-12-31"}, 422),
    ):  # fmt: skip
        answer = client.get(f"/api/revenue/{path}", params=asked)
        assert (answer.status_code, answer.headers["content-type"]) == (status, "application/problem+json"), answer.text
    assert client.get("/api/contacts").status_code == 403


@pytest.mark.parametrize(
    "path",
    [
        "revenue/mrr?group_by=property:%00", "revenue/mrr?currency=%00", "revenue/mrr?connection=%00",
        "revenue/movements?after=2026-01-01T00:00:00%2B00:00~usd~%00", "revenue/movements?contact=%00",
        "revenue/movements?contact=cus_%00", "billing-events?after=1.%00", "billing-events?customer=%00",
        "billing-events?name=%00", "billing-events?contact=%00",
    ],
)  # fmt: skip
def test_a_nul_is_the_asker_s_own_fault(hub: Hub, client: Client, path: str) -> None:
    with hub.engine.begin() as db:
        _, token = tokens.create(db, "reader", ["read", "revenue"])
    answer = client.get(f"/api/{path}", headers={"Authorization": f"Bearer {token}"})
    status = 404 if "connection=" in path else 422
    assert (answer.status_code, answer.headers["content-type"]) == (status, "application/problem+json"), answer.text


def test_a_nul_on_the_command_line_too(run: Run) -> None:
    assert "NUL" in failed(run, "mrr", "--group-by", "property:\0")
    assert "NUL" in failed(run, "movements", "--contact", "cus_\0")

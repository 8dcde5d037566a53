"""The pages of revenue: month by month in each currency, and the movements behind a number."""

import csv
import io
import json
import re
from collections.abc import Callable, Iterator
from decimal import Decimal

import pytest
from httpx import Client
from sqlalchemy import text
from tests.support.importing import connected, imported
from tests.support.serving import serving

from tidegate.api.app import create_app
from tidegate.revenue import editions, kept
from tidegate.sandbox import Sandbox
from tidegate.web.app import create_pages
from tidegate.web.revenue import revenue_page
from tidegate.web.site import beside
from tidegate.wiring import Hub
from tidegate.workflows import kept_reports, refresh
from tidegate.workflows.revenue import ledger_policy


@pytest.fixture
def client(hub: Hub) -> Iterator[Client]:
    with serving(beside(create_app(hub), create_pages(hub, "127.0.0.1"))) as url, Client(base_url=url) as client:
        yield client


@pytest.fixture
def company(hub: Hub, make_sandbox: Callable[..., Sandbox]) -> None:
    """A company with a ledger, which the tests of this file share."""
    if not hub.accounts():
        account = connected(hub, make_sandbox(customers=40, months=8))
        imported(hub, account)
        refresh.refresh_all(hub.engine, account)


def plain(number: str) -> float:
    return float(number.replace(",", ""))


def test_without_a_ledger_the_page_says_what_is_lacking(hub: Hub, client: Client) -> None:
    page = client.get("/revenue")
    assert page.status_code == 200
    assert "No revenue yet" in page.text
    assert "tidegate connect" in page.text


@pytest.mark.usefixtures("company")
def test_every_number_leads_to_its_movements(hub: Hub, client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    page = client.get("/revenue").text
    currencies = re.findall(r'href="/revenue\?currency=(\w+)"', page)
    assert len(currencies) > 1
    for currency in currencies:
        page = client.get(f"/revenue?currency={currency}").text
        drawn = json.loads(re.findall(r'<script type="application/json" id="mrr-data">(.*?)</script>', page, re.S)[0])
        assert drawn["currency"] == currency
        with hub.engine.connect() as db:
            stands = db.scalar(text("select sum(amount) from tidegate.mrr_days where currency = :c"), {"c": currency})
        assert drawn["mrr"][-1] == round(int(stands or 0) / 1_000_000)
    links = re.findall(r'href="(/revenue/movements\?[^"]+kind=new)"[^>]*>([^<]+)<', page)
    for link, amount in links:
        listed = client.get(link.replace("&amp;", "&")).text
        by = re.findall(r'<td class="number text-green">([\d.,]+) ', listed)
        assert sum(float(one.replace(",", "")) for one in by) == pytest.approx(
            float(amount.split()[0].replace(",", ""))
        )
        file = csv.DictReader(io.StringIO(client.get(link.replace("&amp;", "&").replace("?", ".csv?", 1)).text))
        assert sum(Decimal(row["amount"]) for row in file) == Decimal(amount.split()[0].replace(",", ""))
    assert links
    monkeypatch.setattr(revenue_page, "TOGETHER", 7)
    exported = list(csv.DictReader(io.StringIO(client.get(f"/revenue/movements.csv?currency={currencies[0]}").text)))
    assert len(exported) > 7, "in pieces"
    assert any(row["amount"].startswith("-") for row in exported)
    assert client.get("/revenue/movements.csv?kind=nothing").status_code == 422
    cohorts = list(csv.DictReader(io.StringIO(client.get("/revenue/cohorts.csv?months=6").text)))
    assert cohorts[0]["contact_retention"] == "1.0"
    assert re.search(r'href="/revenue/retention\.csv', client.get("/revenue").text)


@pytest.mark.usefixtures("company")
@pytest.mark.parametrize("asked", ["kind=nothing", "from=yesterday", "from=2026-02-01&to=2026-01-01"])
def test_what_cannot_be_asked_is_said(client: Client, asked: str) -> None:
    answer = client.get(f"/revenue/movements?{asked}")
    assert answer.status_code == 422


@pytest.mark.usefixtures("company")
def test_a_report_of_much_is_kept_with_its_time_until_a_worker_reads_it_anew(
    hub: Hub, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = "/revenue/trials"
    with hub.engine.begin() as db:
        db.execute(text("delete from tidegate.kept_reports"))

    def reasons() -> str:
        return client.get(page).text.partition('id="reasons"')[2].partition("</table>")[0]

    def renewed(age: str) -> list[str]:
        with hub.engine.begin() as db:
            ago = f"- interval '{age}'"
            db.execute(
                text(f"update tidegate.kept_reports set as_of = as_of {ago}, wanted_at = wanted_at {ago}, seconds = 1")
            )
        return kept_reports.renew(hub.engine, seconds=60)

    assert "Figures as of" not in client.get(page).text
    assert "Figures as of" not in client.get(page).text, "where there is little everything is read when it is asked for"
    monkeypatch.setattr(kept_reports, "MUCH", -1)  # never analyzed
    monkeypatch.setattr(kept_reports, "LONG", 0.0)
    before = reasons()
    with hub.engine.begin() as db:
        db.execute(
            text("update stripe.subscriptions set cancellation_feedback = 'other_reason' where ended_at is not null")
        )
    assert reasons() == before
    assert "Figures as of" in client.get(page).text
    assert renewed("10 seconds") == [], "not all the time"
    assert renewed("1 minute") == ["conversions"], "somebody looked"
    assert renewed("2 minutes") == [], "nobody looked since"
    assert reasons() != before
    assert "Other reason" in reasons()
    assert renewed("2 hours") == ["conversions"]
    assert renewed("2 hours") == ["conversions"], "so that the next one finds it fresh"
    assert client.get(page).status_code == 200
    with hub.engine.begin() as db:
        db.execute(text("update tidegate.kept_reports set as_of = as_of - interval '2 days'"))
    assert "Figures as of" not in client.get(page).text, "where no worker comes it is read at once"
    assert "Figures as of" in client.get(page).text
    with hub.engine.begin() as db:
        kept.drop(db)
    assert "Figures as of" not in client.get(page).text
    with hub.engine.begin() as db:
        db.execute(text("update tidegate.kept_reports set wanted_at = wanted_at - interval '8 days'"))
    assert renewed("9 days") == []
    with hub.engine.connect() as db:
        assert db.scalar(text("select count(*) from tidegate.kept_reports")) == 0


@pytest.mark.usefixtures("company")
def test_what_was_looked_at_is_read_before_the_next_one_looks_when_other_terms_hold_or_somebody_was_forgotten(
    hub: Hub, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kept_reports, "MUCH", -1)
    monkeypatch.setattr(kept_reports, "LONG", 0.0)
    pages = {"cohorts": "/revenue/cohorts?months=6", "calendar": "/calendar", "groups": "/revenue/groups?by=currency"}
    account = hub.accounts()[0]
    with hub.engine.begin() as db:
        db.execute(text("delete from tidegate.kept_reports"))

    def kept_by() -> list[bool]:
        """Whether each page's figures were read before somebody looked."""
        return ["Figures as of" in client.get(page).text for page in pages.values()]

    assert kept_by() == [False] * 3
    client.get("/revenue/renewals?owner=Ada")
    before = edition(hub)
    ledger_policy.adopt(hub.engine, account, {"choices": {"trials": "count"}}, "test")
    assert edition(hub) > before
    assert sorted(kept_reports.renew(hub.engine, seconds=60)) == ["calendar", "cohorts", "groups", "renewals"]
    assert kept_by() == [True] * 3
    with hub.engine.begin() as db:
        kept.drop(db)
        rows = db.execute(text("select name, told from tidegate.kept_reports order by 1")).all()
    assert [tuple(row) for row in rows] == [(name, None) for name in sorted(pages)], "no name is left, nor asked for"
    assert "Figures as of" not in client.get(pages["cohorts"]).text, "who comes before the worker reads it"
    assert sorted(kept_reports.renew(hub.engine, seconds=60)) == ["calendar", "groups"]
    assert kept_by() == [True] * 3
    with hub.engine.connect() as db:
        asked = db.scalars(text("select distinct asked ->> 'edition' from tidegate.kept_reports")).all()
    assert asked == [str(edition(hub))]


def edition(hub: Hub) -> int:
    with hub.engine.connect() as db:
        ledger = editions.current(db, hub.accounts()[0].name)
    assert ledger
    return ledger.edition

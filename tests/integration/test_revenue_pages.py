"""The pages of revenue: month by month in each currency, and the movements behind a number."""

import json
import re
from collections.abc import Callable, Iterator

import pytest
from httpx import Client
from sqlalchemy import text
from tests.support.importing import connected, imported
from tests.support.serving import serving

from tidegate.api.app import create_app
from tidegate.sandbox import Sandbox
from tidegate.web.app import create_pages
from tidegate.web.site import beside
from tidegate.wiring import Hub
from tidegate.workflows import refresh


@pytest.fixture
def client(hub: Hub) -> Iterator[Client]:
    with serving(beside(create_app(hub), create_pages(hub, "127.0.0.1"))) as url, Client(base_url=url) as client:
        yield client


def plain(number: str) -> float:
    return float(number.replace(",", ""))


def test_without_a_ledger_the_page_says_what_is_lacking(hub: Hub, client: Client) -> None:
    page = client.get("/revenue")
    assert page.status_code == 200
    assert "No revenue yet" in page.text
    assert "tidegate connect" in page.text


def test_every_number_leads_to_its_movements(hub: Hub, client: Client, make_sandbox: Callable[..., Sandbox]) -> None:
    account = connected(hub, make_sandbox(customers=40, months=8))
    imported(hub, account)
    refresh.refresh_all(hub.engine, account)
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
    assert links


@pytest.mark.parametrize("asked", ["kind=nothing", "from=yesterday", "from=2026-02-01&to=2026-01-01"])
def test_what_cannot_be_asked_is_said(client: Client, asked: str) -> None:
    answer = client.get(f"/revenue/movements?{asked}")
    assert answer.status_code == 422

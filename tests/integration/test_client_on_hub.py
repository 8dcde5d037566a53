"""The client for product code on the real API: ids of any kind, usage of an outage, what the hub will not count."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
import pytest
from tests.support.product import ADA, Product, sold

from tidegate.contacts import directory
from tidegate.contacts.directory import Making
from tidegate.workflows import refresh as refreshing
from tidegate_client import Entitlements, HubRefused

ODD = ["org/acme", "a?b#c", "50%", "50%2F", "../up", ".", "..", "a/b/c/", "é/ü x"]


class Line(httpx.HTTPTransport):
    """The way to the hub; cut, nothing passes. `deaf`: what is sent arrives, and no answer comes back."""

    cut = False
    deaf = 0

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        if self.cut:
            raise httpx.ConnectError("cut", request=request)
        answer = super().handle_request(request)
        if self.deaf:
            self.deaf -= 1
            answer.read()
            raise httpx.ReadTimeout("deaf", request=request)
        return answer


@pytest.fixture(scope="module")
def product(database_url: str) -> Iterator[Product]:
    with sold(database_url) as product:
        yield product


@pytest.fixture
def line() -> Line:
    return Line()


@pytest.fixture
def opened(product: Product, line: Line) -> Iterator[Callable[..., Entitlements]]:
    made: list[Entitlements] = []

    def make(**more: Any) -> Entitlements:
        settings: dict[str, Any] = {"timeout": 20, "retry": 600, "transport": line, "clock": lambda: 1000.0} | more
        made.append(Entitlements(product.url, product.token("entitlements"), **settings))
        return made[-1]

    yield make
    line.cut = True
    for one in made:
        one.close()


def contact(product: Product, id_: str, limit: int | None = 3) -> str:
    """A contact of this id with so many calls; None: with none."""
    with product.engine.begin() as db:
        key = directory.make(db, False, Making("account", id_))
        refreshing.refresh_contacts(db, [key])
    if limit is not None:
        product.limit("calls", limit, f"account:{id_}")
    return id_


@pytest.mark.parametrize("id_", ODD)
def test_an_id_may_have_any_characters(product: Product, opened: Callable[..., Entitlements], id_: str) -> None:
    contact(product, id_)
    client = opened(connection="acme")
    assert client.check(id_, "calls").raw["contact"] == f"account:{id_}"
    assert client.consume(id_, "calls", 2).remaining == 1
    assert client.check(id_, "a/b").reason == "feature_not_found"
    assert client.check(f"{id_}/none", "calls").reason == "contact_not_found"


def test_every_route_of_a_contact_takes_its_whole_id(product: Product) -> None:
    with product.client("admin") as client:
        made = client.post("/api/contacts", json={"id": "new/one"})
        assert made.status_code == 201
        here = made.headers["location"]
        assert client.get(here).json()["contact"] == "account:new/one"
        assert client.patch(here, json={"owner": "eve"}).json()["owner"] == "eve"
        assert client.get(f"{here}/subscriptions").json() == {"subscriptions": [], "next": None}
        assert client.post(f"{here}/ids", json={"id": "old/one"}).status_code == 200
        assert client.delete(f"{here}/ids/{quote('old/one', safe='')}").status_code == 200
        client.post("/api/contacts", json={"id": "us/er?1", "kind": "user"})
        assert client.put(f"{here}/members/us%2Fer%3F1", json={}).json()["user"] == "user:us/er?1"
        assert client.delete(f"{here}/members/us%2Fer%3F1").status_code == 200
        assert client.delete(f"{here}/links/cus%2F1").json()["type"] != "about:blank"
        given = client.post(f"{here}/overrides", json={"feature": "sso"}).json()
        assert client.delete(f"{here}/overrides/{given['id']}").json()["contact"] == "account:new/one"
        assert client.get(f"{here}/nothing").json()["reason"] == "route_not_found"


def test_a_wrong_address_is_no_answer(product: Product) -> None:
    with (
        Entitlements(f"{product.url}/api", product.token("entitlements")) as client,
        pytest.raises(HubRefused, match="There is no route"),
    ):
        client.check(ADA, "sso")


def test_in_an_outage_no_more_is_used_than_was_left(
    product: Product, opened: Callable[..., Entitlements], line: Line
) -> None:
    id_, client = contact(product, "limited"), opened()
    assert client.consume(id_, "calls", 1).remaining == 2
    line.cut = True
    assert [bool(client.consume(id_, "calls", 5)) for _ in range(4)] == [False] * 4
    done = client.consume(id_, "calls", 1, key="twice")
    assert (done.allowed, done.stale, done.used, done.remaining) == (True, True, 2, 1)
    assert client.consume(id_, "calls", 1, key="twice").remaining == 1
    assert (client.check(id_, "calls").remaining, client.check(id_, "calls").granted) == (1, True)
    assert client.consume(id_, "calls").remaining == 0
    refused = client.consume(id_, "calls")
    assert (refused.allowed, refused.reason, refused.remaining) == (False, "usage_limit_reached", 0)
    assert (client.check(id_, "calls").reason, client.waiting) == ("usage_limit_reached", 2)
    line.cut = False
    assert client.flush() == 0
    assert client.check(id_, "calls").used == 3


def test_what_was_used_in_an_outage_is_counted_over_the_limit(
    product: Product, opened: Callable[..., Entitlements], line: Line, tmp_path: Path
) -> None:
    id_, client = contact(product, "over"), opened(usage_path=tmp_path / "usage.db", fallback={"calls": True})
    line.cut = True
    assert client.consume(id_, "calls", 7), "nothing is known of it, and the fallback grants it"
    line.cut = False
    assert client.flush() == 0
    found = client.check(id_, "calls")
    assert (found.used, found.limit, found.reason, found.granted) == (7, 3, "over_limit", False)
    assert client.refused == []
    assert not client.consume(id_, "calls")


def test_a_debit_that_was_refused_unheard_and_then_happened_is_counted_once(
    product: Product, opened: Callable[..., Entitlements], line: Line
) -> None:
    id_, client = contact(product, "unheard"), opened(fallback={"calls": True})
    line.deaf = 1
    assert client.consume(id_, "calls", 5).stale
    assert client.flush() == 0
    assert client.check(id_, "calls").used == 5


def test_what_the_hub_will_not_count_is_kept_and_told(
    product: Product, opened: Callable[..., Entitlements], line: Line, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    client = opened(usage_path=tmp_path / "usage.db", fallback={"calls": True, "sso": True})
    contact(product, "without", limit=None)
    line.cut = True
    for id_, feature in (("nobody-yet", "calls"), ("without", "calls"), (ADA, "sso")):
        assert client.consume(id_, feature, 2)
    line.cut = False
    assert client.flush() == 0
    told = {(one.contact, one.feature): one.reason for one in client.refused}
    assert told["nobody-yet", "calls"] == "contact_not_found"
    assert told["without", "calls"] == "feature_unavailable"
    assert "is not metered" in told[ADA, "sso"]
    assert "refuses to count" in caplog.text
    contact(product, "nobody-yet", limit=3)
    product.limit("calls", 3, "without")
    client.retry_refused()
    assert client.flush() == 0
    assert [client.check(one, "calls").used for one in ("nobody-yet", "without")] == [2, 2]
    assert [one.feature for one in client.refused] == ["sso"]
    client.discard_refused()
    assert client.refused == []


def test_code_that_only_consumes_goes_on_in_an_outage(
    product: Product, opened: Callable[..., Entitlements], line: Line
) -> None:
    id_, client = contact(product, "consuming", limit=20_000), opened()
    client.consume(id_, "calls", 9_000)
    line.cut = True
    assert (client.consume(id_, "calls", 10).allowed, client.check(id_, "calls").remaining) == (True, 10_990)


def test_usage_that_happened_is_counted_once_and_said(product: Product) -> None:
    id_ = contact(product, "happened")
    with product.client("entitlements") as client:
        for repeated in ({}, {"repeated": True}):
            done = product.consume(client, 5, ref=id_, idempotency_key="h", happened=True).json()
            assert done.items() >= {"allowed": True, "reason": "over_limit", "used": 5, "remaining": 0}.items()
            assert done.get("repeated") == repeated.get("repeated")
        assert product.consume(client, 1, ref=id_).json()["allowed"] is False
        answer = client.post(f"/api/contacts/{id_}/entitlements/calls/reserve", json={"happened": True})
        assert answer.status_code == 422

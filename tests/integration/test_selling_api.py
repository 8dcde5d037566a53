"""Sales over HTTP, as product code asks for them: a preview with a token, the sale by it, and what is wrong."""

from collections.abc import Iterator
from typing import Any

import pytest
from httpx import Client
from tests.support.selling import Till, opened
from tests.support.serving import serving

from tidegate.api.app import create_app
from tidegate.contacts import changes, directory
from tidegate.security import tokens


@pytest.fixture(scope="module")
def shop(database_url: str, secret_key: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Till]:
    with opened(database_url, secret_key, tmp_path_factory.mktemp("till")) as found:
        yield found


@pytest.fixture(scope="module")
def client(shop: Till) -> Iterator[Client]:
    with shop.hub.engine.begin() as db:
        _, token = tokens.create(db, "shop", ["operate"])
    with (
        serving(create_app(shop.hub, ring_drain=lambda _db, _connection: None)) as url,
        Client(base_url=url, headers={"Authorization": f"Bearer {token}"}, timeout=60) as client,
    ):
        yield client


def ask(client: Client, contact: str, path: str, status: int = 200, **said: Any) -> dict[str, Any]:
    answer = client.post(f"/api/contacts/{contact}/subscriptions{path}", json=said)
    assert answer.status_code == status, answer.text
    return answer.json()


def test_a_sale_from_the_preview_to_the_end(shop: Till, client: Client) -> None:
    shop.contact("acme")
    shop.customer("acme")
    wanted: dict[str, Any] = {"package": "pro", "interval": "month"}
    shown = ask(client, "acme", "?preview=true", **wanted)
    assert (shown["state"], shown["due_now"]["amount"], shown["invoice"]["made"]) == ("preview", 5000, "now")
    gained = [
        one["feature"] for one in shown["entitlements"] if one["after"]["granted"] and not one["before"]["granted"]
    ]
    assert (gained, shop.sold("acme")) == (["seats", "sso"], [])
    needed = ask(client, "acme", "", 409, **wanted)
    assert needed["type"] == "urn:tidegate:problem:sale-preview-needed"
    done = ask(client, "acme", "", **wanted, token=shown["token"])
    assert (done["state"], done["status"], done["billed"]["amount_paid"]) == ("done", "active", 5000)
    again = ask(client, "acme", "", **wanted, token=shown["token"])
    assert (again["state"], len(shop.sold("acme"))) == ("nothing", 1)
    sent = client.get(f"/api/runs/{done['run']}/requests").json()["requests"]
    assert [(one["operation"], one["state"]) for one in sent] == [("create", "done")]
    with shop.hub.engine.connect() as db:
        noted = changes.of_contact(db, directory.find(db, False, "acme").key)
    assert noted[0]["by"] == "token:shop"

    change = {"package": "basic", "proration_behavior": "none"}
    assert ask(client, "acme", "/change?preview=true", **change)["recurring"]["total"] == 1000
    assert ask(client, "acme", "/change", **change, anyway=True)["state"] == "done"
    ended = ask(client, "acme", "/cancel", package="basic", anyway=True)
    assert (ended["state"], ended["status"], ended["ends_at"] is not None) == ("done", "active", True)
    assert ask(client, "acme", "/cancel", package="basic", undo=True, anyway=True)["ends_at"] is None
    assert ask(client, "acme", "/cancel", package="basic", now=True, anyway=True)["status"] == "canceled"


@pytest.mark.wide
def test_what_is_wrong_is_a_problem_with_its_status(shop: Till, client: Client) -> None:
    shop.contact("poor")
    shop.customer("poor", card="pm_card_chargeCustomerFail")
    wanted: dict[str, Any] = {"package": "pro", "interval": "month", "anyway": True}
    assert "several prices" in ask(client, "poor", "", 422, package="pro", anyway=True)["detail"]
    assert ask(client, "poor", "", 422, package="pro", colour="red")["errors"][0]["field"] == "body.colour"
    assert ask(client, "poor", "", 422, **wanted, payment_behavior="sometimes")["errors"]
    assert ask(client, "nobody", "", 404, **wanted)["reason"] == "contact_not_found"
    declined = ask(client, "poor", "", 402, **wanted)
    assert declined["type"] == "urn:tidegate:problem:payment-refused"
    waits = ask(client, "poor", "", 402, **wanted, payment_behavior="allow_incomplete")
    assert (waits["state"], waits["status"], "in_" in waits["remedy"]) == ("incomplete", "incomplete", True)
    held = ask(client, "poor", "", 409, **wanted)
    assert held["type"] == "urn:tidegate:problem:sale-refused"
    shown = ask(client, "poor", "/cancel?preview=true", package="pro", now=True)
    stale = ask(client, "poor", "/cancel", 409, package="pro", now=True, prorate=True, token=shown["token"])
    assert stale["type"] == "urn:tidegate:problem:preview-stale"

"""A contact's subscriptions read from Stripe at once: new ones, of customers the mirror lacks, and with Stripe away."""

from collections.abc import Callable
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import text
from tests.support.importing import imported, stripe
from tests.support.live import NOWHERE, Live

from tidegate.catalog import features, mappings, packages
from tidegate.catalog.mappings import Wanted
from tidegate.contacts.explaining import explain_link
from tidegate.contacts.records import Record
from tidegate.errors import ContactInvalid, ContactUnknown, CustomerUnknown, StripeUnreachable
from tidegate.wiring import Hub
from tidegate.workflows import refresh as refreshing
from tidegate.workflows.contacts import contacts_edit
from tidegate.workflows.contacts.contacts_fetch import fetch

if TYPE_CHECKING:
    from tidegate.sandbox.server import Sandbox


@pytest.fixture
def database_url(fresh_database_url: str) -> str:
    """Every test of this module has a database of its own."""
    return fresh_database_url


@pytest.fixture
def live(hub: Hub, make_sandbox: Callable[..., "Sandbox"]) -> Live:
    """A company whose catalog is imported, every price of which gives the feature `sso`; and no customers yet."""
    live = Live(hub, make_sandbox(customers=5, months=2))
    imported(hub, live.account, "products", "prices")
    with hub.engine.begin() as db:
        features.define(db, "sso", "boolean")
        packages.define(db, "pro")
        packages.draft(db, "pro", {"sso": True})
        packages.publish(db, "pro")
        for row in db.execute(text("select id from stripe.products")).all():
            mappings.set_(db, Wanted("acme", product=row.id, package="pro"))
        values = '{"create_missing": true, "metadata_keys": ["workspace_id"]}'
        db.execute(
            text("insert into tidegate.contact_settings (connection, settings) values ('acme', :v)"), {"v": values}
        )
    return live


def ask(live: Live, ref: str | None = None, *, base: str | None = None, **said: Any) -> dict[str, Any]:
    @contextmanager
    def opens(_account: Any) -> Any:
        with stripe(live.sandbox.key, base or live.sandbox.url) as api:
            yield api

    account = live.account if "customer" in said else None
    return fetch(live.hub.engine, opens, False, ref, account=account, **said)


def active(live: Live) -> dict[str, Any]:
    """A customer with a subscription that gives access, as Stripe has it."""

    def look() -> str:
        subscriptions = live.sandbox.state["subscriptions"]
        shown = (subscriptions.shown(id_) for id_ in subscriptions.ids)
        return next(one["customer"] for one in shown if one["status"] == "active" and not one.get("test_clock"))

    return live.full("customers", live.sandbox.call(look))


def test_a_customer_that_the_mirror_lacks_has_what_it_paid_for_at_once(live: Live) -> None:
    body = active(live)
    live.put(body | {"metadata": {"workspace_id": "w1"}})
    found = ask(live, "w1", customer=body["id"])
    assert (found["contact"], found["features"]["sso"]["granted"]) == ("account:w1", True)
    assert (found["link"]["contact"], found["link"]["method"]) == ("account:w1", "created")
    assert found["fetched"]["customers"] == 1
    assert found["fetched"]["subscriptions"] >= 1
    assert found["fetched"]["changed"] >= 2
    again = ask(live, "w1")
    assert (again["features"]["sso"]["granted"], again["fetched"]["changed"]) == (True, 0)
    assert "link" not in again
    by_customer = ask(live, customer=body["id"])
    assert by_customer["contact"] == "account:w1"


def test_what_stripe_says_now_beats_what_was_told_in_the_same_second(live: Live) -> None:
    body = active(live)
    ask(live, customer=body["id"])
    live.run("update stripe.subscriptions set status = 'canceled', data = jsonb_set(data, '{status}', '\"canceled\"'), "
             "updated_at = now() + interval '1 hour'")  # fmt: skip
    with live.hub.engine.begin() as db:
        refreshing.refresh(db, live.account, [body["id"]])
    ref = live.one("select external_id from tidegate.contacts")
    found = ask(live, ref)
    assert found["features"]["sso"]["granted"]
    assert live.one("select count(*) from tidegate.refetches where resource = 'subscriptions'") == 0


def test_a_canceled_subscription_ends_what_it_gave(live: Live) -> None:
    body = active(live)
    ask(live, customer=body["id"])
    ref = live.one("select external_id from tidegate.contacts")
    for row in live.rows("select id from stripe.subscriptions"):
        live.put(live.full("subscriptions", row["id"]) | {"status": "canceled"})
    live.sandbox.advance(1)
    assert not ask(live, ref)["features"]["sso"]["granted"]


def test_who_is_nobody_is_refused_and_a_contact_without_customers_is_answered(live: Live) -> None:
    with pytest.raises(ContactUnknown):
        ask(live, "nobody")
    with pytest.raises(CustomerUnknown):
        ask(live, customer="cus_nobody")
    with pytest.raises(ContactInvalid):
        ask(live)
    contacts_edit.put(
        live.hub.engine, False, Record("account", "alone", billing_ids=("cus_gone",)), "ada", connection="acme"
    )
    found = ask(live, "alone")
    assert (found["features"]["sso"]["granted"], found["fetched"]["customers"]) == (False, 0)


def test_with_stripe_away_nothing_changes_and_it_is_said(live: Live) -> None:
    body = active(live)
    ask(live, customer=body["id"])
    ref = live.one("select external_id from tidegate.contacts")
    before = live.rows("select * from tidegate.grants")
    with pytest.raises(StripeUnreachable):
        ask(live, ref, base=NOWHERE)
    assert live.rows("select * from tidegate.grants") == before


def test_a_deleted_customer_is_noted_as_deleted(live: Live) -> None:
    body = active(live)
    ask(live, customer=body["id"])
    ref = live.one("select external_id from tidegate.contacts")
    live.remove("customers", body["id"])
    live.sandbox.advance(1)
    ask(live, ref)
    assert live.one("select deleted_at is not null from stripe.customers")


def explained(live: Live, customer: str) -> dict[str, Any]:
    with live.hub.engine.connect() as db:
        return explain_link(db, "acme", customer)


def test_a_link_is_explained_and_so_is_that_there_is_none(live: Live) -> None:
    body = active(live) | {"email": "Ada@Acme.com", "metadata": {"workspace_id": "w1"}}
    live.put(body)
    ask(live, customer=body["id"])
    found = explained(live, body["id"])
    assert (found["contact"], found["method"]) == ("account:w1", "created")
    assert found["reason"].startswith("It is account:w1's by being what the contact was made from, since ")
    steps = {step["step"]: step for step in found["steps"]}
    assert list(steps) == ["link", "metadata", "email", "domain", "create"]
    assert steps["metadata"]["looked_for"] == "workspace_id = w1"
    assert [one["contact"] for one in steps["metadata"]["found"]] == ["account:w1"]
    assert (steps["email"]["looked_for"], steps["email"]["says"]) == ("ada@acme.com", "certain")

    live.run("delete from tidegate.links")
    live.run("update tidegate.contact_settings set settings = '{}'")
    contacts_edit.put(
        live.hub.engine, False, Record("account", "w2", emails=("ADA@acme.com",)), "ada", connection="acme"
    )
    found = explained(live, body["id"])
    assert found["contact"] is None
    assert found["reason"].startswith("Several contacts could be meant")
    steps = {step["step"]: step for step in found["steps"]}
    assert steps["metadata"]["says"] == "no metadata keys are set (metadata_keys)"
    assert [one["contact"] for one in steps["email"]["found"]] == ["account:w1", "account:w2"]
    assert steps["create"]["says"] == "nobody is made unasked"
    with pytest.raises(CustomerUnknown):
        explained(live, "cus_nobody")


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ("delete from stripe.subscriptions", "It has no subscription"),
        ("update stripe.customers set deleted_at = now()", "It is deleted in Stripe"),
        ("update stripe.customers set email = null", "No contact matches"),
        ("insert into tidegate.links (connection, customer, method) select connection, id, 'manual' "
         "from stripe.customers", "A person took it"),
        ("update tidegate.contact_settings set settings = '{\"create_missing\": true}'", "is to be made for it"),
    ],
)  # fmt: skip
def test_every_reason_for_no_link_is_told(live: Live, change: str, says: str) -> None:
    body = active(live)
    ask(live, customer=body["id"])
    live.run("delete from tidegate.links")
    live.run("update tidegate.contact_settings set settings = '{}'")
    live.run("delete from tidegate.contact_emails")
    live.run("update tidegate.contact_ids set external_id = 'x'")
    live.run(change)
    assert says in explained(live, body["id"])["reason"]

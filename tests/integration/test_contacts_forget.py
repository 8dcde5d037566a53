"""A person is forgotten: nothing of theirs is left anywhere, nothing of it comes back, and what was paid stays."""

import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import Engine, text
from tests.support.builders import arrival, customer, event, invoice, item, subscription
from tests.support.importing import imported
from tests.support.live import Live
from tests.support.shop import Shop, opened

from tidegate.contacts import directory
from tidegate.contacts.records import Record
from tidegate.errors import ChangeUnknown, ContactInvalid, PreviewStale
from tidegate.lifecycle import system_alerts
from tidegate.lifecycle.system_alerts import Fact
from tidegate.mirror.apply import apply
from tidegate.mirror.arrivals import Lost
from tidegate.revenue import kept
from tidegate.stripe_api.resources import RESOURCES
from tidegate.wiring import Hub
from tidegate.workflows import previewing
from tidegate.workflows import refresh as refreshing
from tidegate.workflows.contacts import contacts, contacts_edit, contacts_merge, contacts_review
from tidegate.workflows.contacts.contacts_forget import forget
from tidegate.workflows.contacts.contacts_suppress import suppress
from tidegate.workflows.entitlements import entitlements
from tidegate.workflows.lifecycle.lifecycle import now
from tidegate.workflows.mirror.disconnect import purge
from tidegate.workflows.revenue.exclusions import exclude, include

if TYPE_CHECKING:
    from tidegate.sandbox.server import Sandbox

SECRET = "Zyxwvuts"
"""Stands in every personal field."""


@pytest.fixture
def shop(fresh_database_url: str) -> Iterator[Shop]:
    with opened(fresh_database_url) as shop:
        yield shop


@pytest.fixture
def database_url(fresh_database_url: str) -> str:
    """Every test of this module has a database of its own."""
    return fresh_database_url


def places(engine: Engine, secret: str) -> list[str]:
    """The tables of both schemas that hold a text anywhere, whatever its case."""
    with engine.connect() as db:
        tables = db.execute(text("""
select table_schema || '.' || table_name from information_schema.tables
where table_schema in ('stripe', 'tidegate') and table_type = 'BASE TABLE'""")).scalars().all()  # fmt: skip
        found = "select exists(select from {} t where lower(cast(t as text)) like :pattern)"
        return [one for one in tables if db.scalar(text(found.format(one)), {"pattern": f"%{secret.lower()}%"})]


def person(number: int = 1, **fields: Any) -> dict[str, Any]:
    private = {"name": f"{SECRET} {number}", "email": f"{SECRET}{number}@example.com", "phone": f"+1 {SECRET}"}
    address = {"line1": f"{SECRET} street", "country": "FR"}
    return customer(f"cus_{number}", number, **private, address=address, metadata={"x": SECRET}, **fields)


def everything(shop: Shop) -> None:
    """A person with a subscription, an invoice, a charge, a refund, a dispute, a card, in all versions and events."""
    shop.settings(create_missing=True)
    shop.has(person(), subscription(description=SECRET, items=[item("si_1", metadata={"for": SECRET})]))
    lines = [{"id": "il_1", "object": "line_item", "amount": 7, "currency": "usd", "description": f"1 × {SECRET}"}]
    paid = invoice("in_1", lines, subscription="sub_1", customer_name=SECRET, customer_email=f"{SECRET}@x.com", total=7)
    shop.told(paid, at=100)
    shop.told({**paid, "customer_name": f"{SECRET} II"}, at=200)
    card = {"brand": "visa", "last4": "4242", "exp_month": 1, "exp_year": 2031}
    money = {"created": 5, "amount": 7, "currency": "usd"}
    shop.has(
        {"id": "ch_1", "object": "charge", "customer": "cus_1", "receipt_email": f"{SECRET}@x.com", **money},
        {"id": "re_1", "object": "refund", "charge": "ch_1", "metadata": {"why": SECRET}, **money},
        {"id": "dp_1", "object": "dispute", "charge": "ch_1", "evidence": {"customer_name": SECRET}, **money},
        {"id": "pm_1", "object": "payment_method", "customer": "cus_1", "type": "card", "card": card,
         "billing_details": {"name": SECRET}},
    )  # fmt: skip
    with shop.engine.begin() as db:
        apply(db, "acme", RESOURCES["customers"], [], [Lost("cus_1", "", "odd", f'{{"id": "cus_1", "x": "{SECRET}"}}')])
        for number, body in enumerate(
            (person(), {"object": "checkout.session", "customer": "cus_1", "x": {"name": SECRET}})
        ):
            told = json.dumps(event("customer.updated", body, 10, f"evt_{number}"))
            db.execute(
                text("""
insert into tidegate.inbox (connection, event_id, type, created, source, state, body)
values ('acme', :id, 'x', now(), 'webhook', 'skipped', :body)"""),
                {"id": f"evt_{number}", "body": told},
            )
        kept.keep(db, "renewals", {"page": 1}, [{"name": SECRET}], datetime.now(UTC), 9.0)
    shop.refresh()


def drop(shop: Shop, ref: str | None = f"{SECRET.lower()}1@example.com", **said: Any) -> Any:
    return forget(shop.engine, False, ref, "ada", **({"only_preview": False} | said))


def test_nothing_personal_is_left_and_what_was_paid_stays(shop: Shop) -> None:
    shop.catalog()
    everything(shop)
    assert len(places(shop.engine, SECRET)) > 12
    tried = drop(shop, only_preview=True)
    assert len(places(shop.engine, SECRET)) > 12
    assert tried.rows["stripe.customers"] == 1
    assert tried.rows["tidegate.inbox"] == 2
    done = drop(shop, token=tried.token)
    assert done.rows == tried.rows
    assert places(shop.engine, SECRET) == []
    assert places(shop.engine, "4242") == []
    assert shop.rows("select id, country, email from stripe.customers") == [("cus_1", "FR", None)]
    assert shop.rows("select total, customer_email from stripe.invoices") == [(7, None)]
    assert shop.rows("select amount, description from stripe.invoice_lines") == [(7, None)]
    assert shop.rows("select amount from stripe.charges union all select amount from stripe.refunds") == [(7,), (7,)]
    assert shop.rows("select card_brand, card_last4, card_exp_year from stripe.payment_methods") == [
        ("visa", None, None)
    ]
    assert shop.rows("select count(*) from tidegate.versions where resource = 'invoices'") == [(2,)]
    assert shop.answer(done.contact, "sso")["granted"]
    with shop.engine.connect() as db:
        found = contacts.shown(db, directory.find(db, False, done.contact))
    assert (found["name"], found["email"], found["emails"], found["billing_id"]) == ("", "", [], "cus_1")
    assert found["forgotten_at"] is not None
    told = shop.rows("select data from tidegate.outbox where type = 'contact.forgotten'")
    assert told == [({"kind": "account", "external_id": found["id"]},)]


def test_nothing_comes_back_whoever_tells_of_it(shop: Shop) -> None:
    everything(shop)
    drop(shop)
    again = person(balance=9)
    with shop.engine.begin() as db:
        apply(db, "acme", RESOURCES["customers"], [arrival("customers", again, 900)])
        apply(
            db, "acme", RESOURCES["customers"], [], [Lost("?1", "", "odd", f'{{"customer": "cus_1", "x": "{SECRET}"}}')]
        )
    paid = invoice("in_2", customer_name=SECRET, lines=[{"id": "il_2", "object": "line_item", "description": SECRET}])
    shop.told(paid, at=950)
    shop.told({**paid, "customer_email": f"{SECRET}@x.com"}, at=960)
    shop.has({"id": "re_2", "object": "refund", "charge": "ch_1", "metadata": {"why": SECRET}, "created": 5}, at=960)
    detached = {"id": "pm_1", "object": "payment_method", "customer": None, "billing_details": {"name": SECRET}}
    shop.has(detached, at=960)
    shop.has(
        {"id": "pm_1", "object": "payment_method", "customer": "cus_2", "billing_details": {"name": "Bob"}}, at=970
    )
    shop.refresh()
    refreshing.refresh_all(shop.engine, shop.account)
    assert places(shop.engine, SECRET) == []
    assert shop.rows("select balance, email from stripe.customers") == [(9, None)]


def test_other_people_keep_what_is_theirs(shop: Shop) -> None:
    shop.settings(create_missing=True)
    shop.has(person(1), subscription(), person(12), subscription("sub_2", [item("si_2", "sub_2")], customer="cus_12"))
    shop.refresh()
    drop(shop)
    shop.has(person(12, balance=1), at=500)
    assert shop.rows("select id, name from stripe.customers order by id") == [
        ("cus_1", None),
        ("cus_12", f"{SECRET} 12"),
    ]


@pytest.mark.wide
def test_a_contact_with_an_id_of_yours_keeps_it_and_cannot_be_unmerged(shop: Shop) -> None:
    everything(shop)
    shop.has(person(2), subscription("sub_2", [item("si_2", "sub_2")], customer="cus_2"))
    shop.refresh()
    ids = [row[0] for row in shop.rows("select external_id from tidegate.contacts order by key")]
    contacts_edit.rename(shop.engine, False, ids[0], "w1", "ada")
    merged = previewing.commit(shop.engine, contacts_merge.merged(False, "w1", ids[1], "ada"), None)
    done = drop(shop, "w1")
    assert done.contact == "account:w1"
    assert [one["customer"] for one in done.customers] == ["cus_1", "cus_2"]
    assert places(shop.engine, SECRET) == []
    with pytest.raises(ChangeUnknown, match="erased"):
        previewing.commit(shop.engine, contacts_merge.unmerged(merged.result["merge"], "ada"), None)


def test_a_customer_that_waits_for_a_review_can_be_forgotten_and_an_acceptance_forgets_it(shop: Shop) -> None:
    shop.has(person(1), subscription(), person(2), subscription("sub_2", [item("si_2", "sub_2")], customer="cus_2"))
    shop.refresh()
    done = contacts_review.accept(shop.engine, shop.account, ["cus_1"], "ada")
    with pytest.raises(ContactInvalid, match="forget the contact"):
        drop(shop, None, customer="cus_1", account=shop.account)
    drop(shop, None, customer="cus_2", account=shop.account)
    drop(shop)
    assert places(shop.engine, SECRET) == []
    contacts_review.undo(shop.engine, done["batch"], "ada")
    shop.refresh()
    assert places(shop.engine, SECRET) == []
    with pytest.raises(ContactInvalid):
        drop(shop, None)


def put(shop: Shop, kind: Any, external_id: str, **fields: Any) -> None:
    contacts_edit.put(shop.engine, False, Record(kind, external_id, **fields), "ada", connection=None)


def test_a_member_is_in_no_record_of_its_account_nor_of_a_merge_that_was_undone(shop: Shop) -> None:
    put(shop, "account", "corp", name="Corp")
    put(shop, "user", f"{SECRET}@x.com", name=SECRET, emails=(f"{SECRET}@x.com",), account="corp")
    put(shop, "user", "boss", name="Boss")
    user = f"{SECRET}@x.com"
    contacts_edit.member(shop.engine, False, "corp", user, "ada", role="owner")
    with shop.engine.connect() as db:
        shown = contacts.shown(db, directory.find(db, False, "corp"))
    assert shown["changes"][0]["what"] == {"account": "account:corp", "user": f"user:{user}", "role": "owner"}
    merged = previewing.commit(shop.engine, contacts_merge.merged(False, "boss", user, "ada"), None)
    with shop.engine.connect() as db:
        assert contacts.shown(db, directory.find(db, False, "boss"))["merged"][0]["contact"] == f"user:{user}"
    previewing.commit(shop.engine, contacts_merge.unmerged(merged.result["merge"], "ada"), None)
    done = drop(shop, user)
    assert places(shop.engine, SECRET) == []
    with shop.engine.connect() as db:
        shown = contacts.shown(db, directory.find(db, False, "corp"))
        boss = contacts.shown(db, directory.find(db, False, "boss"))
    assert shown["changes"][0]["what"]["user"] == done.contact
    assert {one["action"] for one in boss["changes"]} == {"make", "merge", "unmerge"}


def test_nothing_of_it_stays_with_contacts_that_had_the_customer_before(shop: Shop) -> None:
    shop.catalog()
    put(shop, "account", "team", emails=(f"{SECRET}1@example.com",))
    put(shop, "account", "acme")
    shop.has(person(), subscription())
    shop.refresh()
    contacts_edit.change(shop.engine, False, "team", {"emails": []}, "ada")
    previewing.commit(shop.engine, contacts.linked(shop.account, "cus_1", "acme", "ada"), None)
    why = f"{SECRET} asked"
    entitlements.give(shop.engine, False, "acme", by="ada", reason=why, feature="calls", terms={"limit": 5})
    entitlements.use(shop.engine, [entitlements.Use(False, "acme", "calls", "consume", 1, "once")])
    contacts_edit.change(shop.engine, False, "team", {"email": None}, "ada")
    drop(shop, "acme")
    assert places(shop.engine, SECRET) == []
    assert shop.rows("select count(*) from tidegate.outbox where data ? 'redacted'") != [(0,)]


def test_what_people_wrote_and_others_answered_of_it_is_erased(shop: Shop) -> None:
    """Reasons are in a person's words, and an answer quotes what it is about."""
    everything(shop)
    shop.catalog()
    ref, why = f"{SECRET.lower()}1@example.com", f"{SECRET} asked for it"
    put(shop, "account", "other")
    shop.has(customer("cus_2", email="bob@example.com"))
    entitlements.give(shop.engine, False, ref, by="ada", reason=why, feature="calls", terms={"limit": 5})
    entitlements.use(shop.engine, [entitlements.Use(False, ref, "calls", "consume", 1, "once")])
    exclude(shop.engine, shop.account, "cus_1", why, "ada")
    exclude(shop.engine, shop.account, "cus_2", "a test", "ada")
    include(shop.engine, shop.account, "cus_1", "ada")
    exclude(shop.engine, shop.account, "cus_1", why, "ada")
    with shop.engine.begin() as db:
        key, other = (directory.find(db, False, one).key for one in (ref, "other"))
        suppress(db, False, ref, why, "ada")
        suppress(db, False, "other", "they asked for it", "ada")
        for statement in ANSWERED:
            db.execute(text(statement), {"key": key, "other": other, "secret": f"no such person {SECRET} 1"})
        system_alerts.keep(db, [Fact("dead_letters", "destination:ops", f"the last: {why} of {ref}", "")], now(db))
    held = {
        "tidegate.action_occurrences", "tidegate.alerts", "tidegate.catalog_changes", "tidegate.deliveries",
        "tidegate.destinations", "tidegate.exclusions", "tidegate.meter_forwards", "tidegate.outbox",
        "tidegate.overrides", "tidegate.suppressed_contacts",
    }  # fmt: skip
    assert held <= {*places(shop.engine, SECRET)}
    tried = drop(shop, only_preview=True)
    assert held - {"tidegate.alerts"} <= tried.rows.keys()
    drop(shop, token=tried.token)
    assert places(shop.engine, SECRET) == []
    assert shop.rows("select contact, reason from tidegate.suppressed_contacts order by contact") == [
        (key, ""), (other, "they asked for it"),
    ]  # fmt: skip
    assert shop.rows("select customer, reason from tidegate.exclusions order by 1") == [
        ("cus_1", ""),
        ("cus_2", "a test"),
    ]
    assert shop.rows("select why, what from tidegate.action_occurrences order by id") == [
        ("", {"stage": "trial"}), ("cooldown", {"stage": "trial"}), ("odd", {"stage": "trial", "before": "x"}),
    ]  # fmt: skip
    assert shop.rows("select error from tidegate.deliveries order by id") == [("",), ("",), ("HTTP 500",)]


ANSWERED = (
    """
insert into tidegate.destinations (key, kind, spec, error)
values ('ops', 'webhook', '{}', :secret), ('calm', 'webhook', '{}', 'HTTP 500')""",
    """
insert into tidegate.deliveries (destination, outbox, contact, state, error)
values ('ops', null, :key, 'delivered', 'HTTP 500: odd'), ('ops', null, :other, 'delivered', :secret),
  ('ops', null, :other, 'delivered', 'HTTP 500')""",
    """
insert into tidegate.action_occurrences (action, contact, occurrence, at, decided_at, state, why, what, reasons)
values ('hello', :key, 'entered:1', now(), now(), 'failed', :secret,
    jsonb_build_object('stage', 'trial', 'before', cast(:secret as text)), '[]'),
  ('hello', :key, 'entered:2', now(), now(), 'passed', 'cooldown', '{"stage": "trial"}', '["mrr is above 3"]'),
  ('hello', :other, 'entered:3', now(), now(), 'failed', 'odd', '{"stage": "trial", "before": "x"}', '[]')""",
    """
insert into tidegate.meter_forwards (debit, contact, feature, event_name, value, state, error)
values (900, :key, 'calls', 'calls', 1, 'failed', :secret)""",
)


def test_contacts_made_of_its_customers_and_left_since_are_erased_too(shop: Shop) -> None:
    shop.settings(create_missing=True)
    put(shop, "account", "acme")
    shop.has(person(), subscription())
    shop.refresh()
    previewing.commit(shop.engine, contacts.linked(shop.account, "cus_1", "acme", "ada"), None)
    done = drop(shop, "acme")
    assert (done.contact, done.rows["tidegate.contacts"]) == ("account:acme", 2)
    assert places(shop.engine, SECRET) == []


def test_a_merge_of_others_that_kept_its_rows_forgets_them_and_can_be_undone(shop: Shop) -> None:
    for one in ("one", "two"):
        put(shop, "account", one, emails=(f"{SECRET}1@example.com",))
    put(shop, "account", "acme")
    put(shop, "account", "three", emails=("eve@example.com",))
    shop.has(person(), subscription())
    shop.has(customer("cus_3", 3, email="eve@example.com"), subscription("sub_3", [item("si_3")], customer="cus_3"))
    shop.refresh()
    contacts_edit.change(shop.engine, False, "two", {"emails": []}, "ada")
    contacts_edit.change(shop.engine, False, "one", {"emails": [], "email": None}, "ada")
    merged = previewing.commit(shop.engine, contacts_merge.merged(False, "three", "one", "ada"), None)
    previewing.commit(shop.engine, contacts.linked(shop.account, "cus_1", "acme", "ada"), None)
    contacts_edit.change(shop.engine, False, "three", {"emails": ["eve@example.com"]}, "ada")
    drop(shop, "acme")
    left = shop.rows("select before from tidegate.contact_changes where action = 'merge'")
    assert [one["evidence"] for one in left[0][0]["links"]] == [{}]
    previewing.commit(shop.engine, contacts_merge.unmerged(merged.result["merge"], "ada"), None)
    assert shop.rows("select before from tidegate.contact_changes where action = 'merge'") == [({},)]


def test_a_stale_preview_erases_nothing(shop: Shop) -> None:
    everything(shop)
    tried = drop(shop, only_preview=True)
    shop.told(invoice("in_9", customer_name=SECRET), at=900)
    before = places(shop.engine, SECRET)
    with pytest.raises(PreviewStale):
        drop(shop, token=tried.token)
    assert places(shop.engine, SECRET) == before


@pytest.mark.wide
def test_a_second_import_an_audit_and_one_after_a_purge_find_nothing_to_say(
    hub: Hub, make_sandbox: Callable[..., "Sandbox"]
) -> None:
    live = Live(hub, make_sandbox(customers=10, months=3))
    body = live.full("customers")
    body |= {"name": SECRET, "email": f"{SECRET}@example.com", "phone": SECRET}
    live.put(body, "customer.updated")
    imported(hub, live.account)
    live.sandbox.advance(1)
    live.catch_up()
    live.run("""
insert into tidegate.contact_settings (connection, settings)
values ('acme', '{"create_missing": true, "only_subscribed": false}')""")
    refreshing.refresh_all(hub.engine, live.account)
    assert places(hub.engine, SECRET) != []
    done = forget(hub.engine, False, f"{SECRET.lower()}@example.com", "ada", only_preview=False)
    assert places(hub.engine, SECRET) == []
    assert live.audit()["clean"]
    imported(hub, live.account, full=True)
    assert places(hub.engine, SECRET) == []
    assert live.audit()["clean"]
    live.put(body | {"phone": f"{SECRET} 2", "balance": 5}, "customer.updated")
    live.sandbox.advance(1)
    live.catch_up()
    assert live.one("select balance from stripe.customers where id = :id", id=body["id"]) == 5
    assert places(hub.engine, SECRET) == []
    purge(hub.engine, "acme", "cli:test")
    live = Live(hub, live.sandbox, "back")  # another name, the same account
    imported(hub, live.account)
    assert live.one("select balance from stripe.customers where id = :id", id=body["id"]) == 5
    assert places(hub.engine, SECRET) == []
    assert live.audit()["clean"]
    live.remove("customers", body["id"], "customer.deleted")
    live.sandbox.advance(1)
    live.catch_up()
    assert live.one("select deleted_at is not null from stripe.customers where id = :id", id=body["id"])
    assert places(hub.engine, SECRET) == []
    assert live.audit()["clean"]
    assert done.contact.startswith("account:forgotten-")


def test_a_customer_that_stripe_has_deleted_can_be_forgotten(shop: Shop) -> None:
    everything(shop)
    shop.has({"id": "cus_1", "object": "customer", "deleted": True}, at=900)
    shop.refresh()
    drop(shop)
    assert places(shop.engine, SECRET) == []

"""Contacts in the database: linked and unlinked by hand, renamed, reviewed; settings with a preview."""

from collections.abc import Iterator
from contextlib import nullcontext
from typing import Any

import pytest
from psycopg.errors import LockNotAvailable
from sqlalchemy import Connection, text
from sqlalchemy.exc import OperationalError
from tests.support.builders import customer, item, subscription
from tests.support.shop import Shop, opened

from tidegate.contacts import directory, linking, listing, policy, reviewing
from tidegate.contacts.directory import Making
from tidegate.contacts.listing import Filter
from tidegate.errors import (
    ChangeUnknown,
    ContactExists,
    ContactInvalid,
    ContactsBusy,
    ContactUnknown,
    CustomerUnknown,
    ManagedByFile,
    PreviewNeeded,
    PreviewStale,
    ReviewUnknown,
)
from tidegate.workflows import previewing
from tidegate.workflows.contacts import contacts, contacts_edit, contacts_import, contacts_review, contacts_settings

LINKS = "select customer, contact, method, linked_by from tidegate.links order by customer"
QUEUE = "select customer, reason from tidegate.reviews order by customer"


@pytest.fixture
def shop(fresh_database_url: str) -> Iterator[Shop]:
    with opened(fresh_database_url) as shop:
        yield shop


def make(shop: Shop, external_id: str, **fields: Any) -> int:
    with shop.engine.begin() as db:
        linking.lock(db)
        return directory.make(db, False, Making(fields.pop("kind", "account"), external_id, **fields))


def buys(shop: Shop, number: int, **fields: Any) -> None:
    """The n-th customer with a subscription of its own."""
    sub, cus = f"sub_{number}", f"cus_{number}"
    shop.has(customer(cus, number, **fields), subscription(sub, [item(f"si_{number}", sub)], customer=cus))


def link(shop: Shop, customer_id: str, ref: str) -> previewing.Preview:
    return previewing.commit(shop.engine, contacts.linked(shop.account, customer_id, ref, "ada"), None)


def unlink(shop: Shop, customer_id: str, *, rematch: bool = False) -> previewing.Preview:
    return previewing.commit(shop.engine, contacts.unlinked(shop.account, customer_id, "ada", rematch=rematch), None)


def shown(shop: Shop, ref: str) -> dict[str, Any]:
    with shop.engine.connect() as db:
        return contacts.shown(db, directory.find(db, False, ref))


def queue(shop: Shop, **wanted: Any) -> list[dict[str, Any]]:
    with shop.engine.connect() as db:
        return reviewing.queue(db, "acme", **wanted)[0]


def test_a_link_by_hand_survives_every_sync_and_gives_what_is_paid_for(shop: Shop) -> None:
    shop.catalog()
    buys(shop, 1)
    acme = make(shop, "acme")
    shop.refresh()
    assert shop.rows(QUEUE) == [("cus_1", "no_match")]
    done = link(shop, "cus_1", "acme")
    assert [(one["contact"], one["before"], one["now"]) for one in done.features["sso"]] == [
        ("account:acme", None, True)
    ]
    assert shop.rows(QUEUE) == []
    assert shop.rows(LINKS) == [("cus_1", acme, "manual", "ada")]
    make(shop, "other", email="ada@example.com")
    shop.has(customer(email="ada@example.com", metadata={"workspace_id": "other"}), at=200)
    shop.settings(metadata_keys=["workspace_id"])
    shop.refresh()
    assert shop.rows(LINKS) == [("cus_1", acme, "manual", "ada")]
    assert shop.answer("acme", "sso")["granted"]


def test_a_link_moves_a_customer_with_everything_it_pays_for(shop: Shop) -> None:
    shop.catalog()
    shop.settings(create_missing=True)
    buys(shop, 1)
    shop.refresh()
    make(shop, "acme")
    tried = previewing.preview(shop.engine, contacts.linked(shop.account, "cus_1", "acme", "ada"))
    assert {(one["contact"], one["now"]) for one in tried.features["sso"]} == {
        ("account:acme", True),
        ("account:ada@example.com", None),
    }
    assert shop.answer("ada@example.com", "sso")["granted"]
    change = contacts.linked(shop.account, "cus_1", "acme", "ada")
    assert previewing.commit(shop.engine, change, tried.token).result["contact"] == "account:acme"
    assert not shop.answer("ada@example.com", "sso")["granted"]
    assert shop.answer("acme", "sso")["granted"]
    told = shop.rows("""
select o.type, c.external_id from tidegate.outbox o join tidegate.contacts c on c.key = o.contact
where o.type like 'contact.%linked' or (o.type = 'entitlement.revoked' and o.data ->> 'feature' = 'sso')
order by o.id""")
    assert told[-3:] == [
        ("contact.unlinked", "ada@example.com"),
        ("contact.linked", "acme"),
        ("entitlement.revoked", "ada@example.com"),
    ]


def test_a_preview_that_the_facts_overtook_is_refused_and_nothing_is_done(shop: Shop) -> None:
    shop.catalog()
    buys(shop, 1)
    make(shop, "acme")
    shop.refresh()
    tried = previewing.preview(shop.engine, contacts.linked(shop.account, "cus_1", "acme", "ada"))
    shop.has(subscription("sub_1", [item("si_1")], status="canceled"), at=300)
    with pytest.raises(PreviewStale):
        previewing.commit(shop.engine, contacts.linked(shop.account, "cus_1", "acme", "ada"), tried.token)
    assert shop.rows(LINKS) == []


def test_an_unlinked_customer_stays_apart_until_matching_may_decide_again(shop: Shop) -> None:
    shop.catalog()
    acme = make(shop, "acme", email="ada@example.com")
    buys(shop, 1)
    shop.refresh()
    assert shop.rows(LINKS) == [("cus_1", acme, "email", "")]
    unlink(shop, "cus_1")
    shop.has(customer(name="Ada"), at=200)
    shop.refresh()
    assert shop.rows(LINKS) == [("cus_1", None, "manual", "ada")]
    assert shop.rows(QUEUE) == []
    assert not shop.answer("acme", "sso")["granted"]
    assert unlink(shop, "cus_1", rematch=True).result["contact"] == "account:acme"
    assert shop.rows(LINKS) == [("cus_1", acme, "email", "")]
    assert shop.answer("acme", "sso")["granted"]


def test_what_is_not_there_or_of_the_other_mode_is_refused(shop: Shop) -> None:
    make(shop, "acme")
    buys(shop, 1)
    with pytest.raises(CustomerUnknown):
        link(shop, "cus_9", "acme")
    with pytest.raises(CustomerUnknown):
        unlink(shop, "cus_9")
    with pytest.raises(ContactUnknown):
        link(shop, "cus_1", "nobody")
    with shop.engine.begin() as db:
        live = directory.of_key(db, directory.make(db, True, Making("account", "live")))
        with pytest.raises(ContactInvalid, match="live data"):
            linking_by_hand(db, live)


def linking_by_hand(db: Any, contact: directory.Contact) -> None:
    from tidegate.contacts import by_hand

    by_hand.link(db, "acme", False, "cus_1", contact, by="ada")


def test_a_renamed_contact_answers_to_all_its_ids_and_aliases_can_go(shop: Shop) -> None:
    make(shop, "acme")
    make(shop, "other")
    after = contacts_edit.rename(shop.engine, False, "acme", "acme-2", "ada")
    assert after.ref == "account:acme-2"
    contacts_edit.alias(shop.engine, False, "acme-2", "w-7", "ada")
    assert [one["id"] for one in shown(shop, "w-7")["ids"]] == ["acme", "acme-2", "w-7"]
    with pytest.raises(ContactExists):
        contacts_edit.rename(shop.engine, False, "acme", "other", "ada")
    with pytest.raises(ContactExists):
        contacts_edit.alias(shop.engine, False, "acme", "other", "ada")
    with pytest.raises(ContactInvalid):
        contacts_edit.alias(shop.engine, False, "acme", "acme-2", "ada", remove=True)
    contacts_edit.alias(shop.engine, False, "acme-2", "acme", "ada", remove=True)
    with pytest.raises(ContactUnknown):
        shown(shop, "acme")
    assert [one["action"] for one in shown(shop, "acme-2")["changes"]] == ["alias", "alias", "rename"]
    assert shop.rows("select data ->> 'from', data ->> 'to' from tidegate.outbox where type = 'contact.renamed'") == [
        ("account:acme", "account:acme-2")
    ]


def test_an_id_of_a_user_and_an_account_is_ambiguous_without_the_kind(shop: Shop) -> None:
    make(shop, "acme", name="The account")
    make(shop, "acme", kind="user", name="The user")
    assert shown(shop, "user:acme")["name"] == "The user"
    with pytest.raises(directory.ContactAmbiguous, match=r"account:acme or user:acme|user:acme or account:acme"):
        shown(shop, "acme")


def test_the_billing_id_is_the_newest_live_customer(shop: Shop) -> None:
    shop.settings(create_missing=True)
    buys(shop, 1, name="Old")
    buys(shop, 2, name="New")
    shop.refresh()
    found = shown(shop, "ada@example.com")
    assert (found["billing_id"], found["name"]) == ("cus_2", "New")
    assert [(one["customer"], one["method"]) for one in found["links"]] == [("cus_2", "email"), ("cus_1", "created")]
    assert {one["id"] for one in found["subscriptions"]} == {"sub_1", "sub_2"}
    shop.has({"id": "cus_2", "object": "customer", "deleted": True}, at=900)
    shop.refresh()
    assert shown(shop, "ada@example.com")["billing_id"] == "cus_1"


def test_members_join_and_leave_and_their_addresses_are_their_accounts(shop: Shop) -> None:
    acme = make(shop, "acme")
    make(shop, "bob", kind="user", email="Bob@Example.com")
    contacts_edit.member(shop.engine, False, "acme", "bob", "ada", role="owner")
    assert [(one["contact"], one["role"]) for one in shown(shop, "acme")["members"]] == [("user:bob", "owner")]
    assert [one["contact"] for one in shown(shop, "bob")["accounts"]] == ["account:acme"]
    buys(shop, 1, email="bob@example.com")
    shop.refresh()
    assert shop.rows(LINKS) == [("cus_1", acme, "email", "")]
    contacts_edit.member(shop.engine, False, "acme", "bob", "ada", role=None)
    assert shown(shop, "acme")["members"] == []
    with pytest.raises(ContactInvalid, match="no member"):
        contacts_edit.member(shop.engine, False, "acme", "bob", "ada", role=None)
    with pytest.raises(ContactInvalid, match="has to be an account"):
        contacts_edit.member(shop.engine, False, "bob", "acme", "ada")


def test_contacts_are_found_by_kind_text_and_links(shop: Shop) -> None:
    shop.settings(create_missing=True)
    buys(shop, 1, email="ada@example.com", name="Ada 100%")
    shop.refresh()
    make(shop, "acme", name="Acme")
    make(shop, "bob", kind="user", email="bob@acme.com")

    def ids(**wanted: Any) -> list[str]:
        with shop.engine.connect() as db:
            return [one["id"] for one in listing.listing(db, Filter(False, **wanted))]

    assert ids() == ["ada@example.com", "acme", "bob"]
    assert ids(kind="user") == ["bob"]
    assert ids(search="ACME") == ["acme", "bob"]
    assert ids(search="0%") == ["ada@example.com"]
    assert ids(search="_") == []
    assert ids(linked=True) == ["ada@example.com"]
    assert ids(linked=False) == ["acme", "bob"]
    assert ids(connection="acme") == ["ada@example.com"]
    with shop.engine.connect() as db:
        first = contacts.page(db, Filter(False), limit=2)
        second = contacts.page(db, Filter(False), after=first["next"], limit=2)
        assert [one["id"] for one in (*first["contacts"], *second["contacts"])] == ["ada@example.com", "acme", "bob"]
        assert second["next"] is None
        with pytest.raises(ContactInvalid):
            contacts.page(db, Filter(False), after="x")


def test_the_queue_shows_candidates_evidence_and_list_value(shop: Shop) -> None:
    make(shop, "one", email="ada@example.com")
    make(shop, "two", emails=("ADA@example.com", "x@example.com"))
    items = [
        item("si_1", quantity=3),
        item(
            "si_2",
            price={
                "id": "price_y",
                "object": "price",
                "unit_amount": 500,
                "currency": "usd",
                "recurring": {"interval": "year", "interval_count": 1},
            },
        ),
    ]
    shop.has(customer(name="Ada"), subscription(items=items))
    buys(shop, 2, email="bob@example.net")
    shop.refresh()
    conflict, alone = queue(shop)
    assert (conflict["customer"], conflict["reason"], conflict["name"]) == ("cus_1", "conflict", "Ada")
    assert [one["contact"] for one in conflict["candidates"]] == ["account:one", "account:two"]
    assert conflict["evidence"]["email"] == "ada@example.com"
    assert [(one["interval"], one["amount"], one["currency"]) for one in conflict["list_value"]] == [
        ("month", 3000, "usd"),
        ("year", 500, "usd"),
    ]
    assert (alone["customer"], alone["reason"], alone["candidates"]) == ("cus_2", "no_match", [])
    assert [one["customer"] for one in queue(shop, reason="conflict")] == ["cus_1"]
    with shop.engine.connect() as db:
        first, place = reviewing.queue(db, "acme", limit=1)
        second, end = reviewing.queue(db, "acme", limit=1, after=place or "")
        assert [first[0]["customer"], second[0]["customer"], end] == ["cus_1", "cus_2", None]
        assert reviewing.counts(db, "acme") == {"conflict": 1, "no_match": 1}
        with pytest.raises(ContactInvalid):
            reviewing.queue(db, "acme", after="soon~cus_1")


def test_all_that_match_nobody_are_accepted_at_once_and_undone(shop: Shop) -> None:
    shop.catalog()
    for number in (1, 2):
        buys(shop, number)
    buys(shop, 3, email="bob@example.com")
    make(shop, "one", email="eve@example.com")
    make(shop, "two", email="eve@example.com")
    buys(shop, 4, email="eve@example.com")
    shop.refresh()
    before = shop.rows("select * from tidegate.reviews order by customer")
    done = contacts_review.accept(shop.engine, shop.account, [], "ada", every=True)
    assert (done["linked"], done["created"], done["waiting"]) == (3, 2, [])
    assert done["contacts"] == ["account:ada@example.com", "account:bob@example.com"]
    assert shop.rows(QUEUE) == [("cus_4", "conflict")]
    assert shop.answer("ada@example.com", "sso")["granted"]
    assert {(method, by) for _, _, method, by in shop.rows(LINKS)} == {("created", "ada"), ("email", "ada")}
    shop.refresh()
    undone = contacts_review.undo(shop.engine, done["batch"], "ada")
    assert (undone["unlinked"], undone["removed"], undone["kept"]) == (3, 2, [])
    assert shop.rows("select * from tidegate.reviews order by customer") == before
    assert shop.rows(LINKS) == []
    assert shop.rows("select * from tidegate.grants") == []
    with pytest.raises(ChangeUnknown, match="was undone"):
        contacts_review.undo(shop.engine, done["batch"], "ada")
    shop.has(customer(name="Ada"), at=500)
    shop.refresh()
    assert shop.rows("select * from tidegate.reviews order by customer") == before


def test_an_undone_acceptance_keeps_contacts_that_have_something_of_their_own(shop: Shop) -> None:
    buys(shop, 1)
    buys(shop, 2, email="bob@example.com")
    shop.refresh()
    done = contacts_review.accept(shop.engine, shop.account, [], "ada", every=True, reason="no_match")
    contacts_edit.rename(shop.engine, False, "ada@example.com", "w1", "ada")
    undone = contacts_review.undo(shop.engine, done["batch"], "ada")
    assert (undone["removed"], undone["kept"]) == (1, ["account:w1"])
    assert [one["customer"] for one in queue(shop)] == ["cus_1", "cus_2"]


def test_a_conflict_is_settled_by_naming_the_contact(shop: Shop) -> None:
    shop.catalog()
    one = make(shop, "one", email="ada@example.com")
    make(shop, "two", email="ada@example.com")
    buys(shop, 1)
    shop.refresh()
    with pytest.raises(ContactInvalid, match="name the contact"):
        contacts_review.accept(shop.engine, shop.account, ["cus_1"], "ada")
    with pytest.raises(ReviewUnknown):
        contacts_review.accept(shop.engine, shop.account, ["cus_9"], "ada", contact="one")
    with pytest.raises(ContactInvalid, match="not both"):
        contacts_review.accept(shop.engine, shop.account, [], "ada")
    done = contacts_review.accept(shop.engine, shop.account, ["cus_1"], "ada", contact="one")
    assert shop.rows(LINKS) == [("cus_1", one, "manual", "ada")]
    assert shop.answer("one", "sso")["granted"]
    contacts_review.undo(shop.engine, done["batch"], "eve")
    assert shop.rows(QUEUE) == [("cus_1", "conflict")]
    assert not shop.answer("one", "sso")["granted"]


def test_a_contact_made_for_an_unknown_id_gets_that_id(shop: Shop) -> None:
    shop.settings(metadata_keys=["workspace_id"])
    buys(shop, 1, metadata={"workspace_id": " w1 "})
    buys(shop, 2, email="", metadata={"workspace_id": "   "})
    shop.refresh()
    assert shop.rows(QUEUE) == [("cus_1", "id_unknown"), ("cus_2", "no_match")]
    contacts_review.accept(shop.engine, shop.account, [], "ada", every=True)
    assert shop.rows("select external_id from tidegate.contacts order by 1") == [("cus_2",), ("w1",)]


def test_other_settings_show_what_matching_would_do_before_it_is_done(shop: Shop) -> None:
    shop.catalog()
    w1 = make(shop, "w1")
    mail = make(shop, "mail", email="ada@example.com")
    buys(shop, 1, metadata={"workspace_id": "w1"})
    buys(shop, 2, email="bob@example.com")
    shop.has(customer("cus_3", 3, email="eve@example.com"))
    shop.refresh()
    assert shop.rows(LINKS) == [("cus_1", mail, "email", "")]
    wanted = {"metadata_keys": ["workspace_id"], "create_missing": True, "only_subscribed": False}
    tried = contacts_settings.preview(shop.engine, shop.account, wanted)
    assert (tried.changed, tried.created, tried.linked, tried.queued_before, tried.queued) == (1, 2, 0, 1, 0)
    assert [one["customer"] for one in tried.examples["changed"]] == ["cus_1"]
    assert shop.rows(LINKS) == [("cus_1", mail, "email", "")]
    assert shop.rows("select settings from tidegate.contact_settings") == []
    again = contacts_settings.preview(shop.engine, shop.account, wanted)
    assert again.token == tried.token
    with pytest.raises(PreviewStale):
        contacts_settings.commit(shop.engine, shop.account, {"create_missing": True}, "ada", tried.token)
    contacts_settings.commit(shop.engine, shop.account, wanted, "ada", tried.token)
    assert next(row[:3] for row in shop.rows(LINKS)) == ("cus_1", w1, "metadata")
    assert len(shop.rows(LINKS)) == 3
    assert shop.answer("w1", "sso")["granted"]
    assert not shop.answer("mail", "sso")["granted"]


def test_settings_go_back_to_their_defaults_and_wrong_ones_are_named(shop: Shop) -> None:
    contacts_settings.commit(shop.engine, shop.account, {"kind": "user", "grace_days": 3}, "ada", None)
    contacts_settings.commit(shop.engine, shop.account, {"kind": None}, "ada", None)
    with shop.engine.connect() as db:
        assert contacts_settings.current(db, "acme") == {
            "settings": policy.in_full({"grace_days": 3}),
            "set": {"grace_days": 3},
            "managed_by": "",
        }
    with pytest.raises(policy.ContactSettingsInvalid, match=r"color is no setting.*kind is 'x'"):
        contacts_settings.commit(shop.engine, shop.account, {"color": 1, "kind": "x"}, "ada", None)


def test_what_the_file_manages_only_the_file_changes(shop: Shop) -> None:
    contacts_settings.commit(
        shop.engine, shop.account, {"kind": "user", "grace_days": 3}, "file", None, managed_by="file"
    )
    contacts_settings.commit(shop.engine, shop.account, {"kind": "user"}, "file", None, managed_by="file")
    with shop.engine.connect() as db:
        assert contacts_settings.current(db, "acme")["set"] == {"kind": "user"}
    with pytest.raises(ManagedByFile, match="contact settings of acme"):
        contacts_settings.commit(shop.engine, shop.account, {"kind": "account"}, "ada", None)


def test_days_of_grace_that_change_are_told_at_once(shop: Shop) -> None:
    from datetime import UTC, datetime, timedelta

    from tests.support.builders import invoice

    shop.settings(create_missing=True)
    shop.catalog()
    due = int((datetime.now(UTC) - timedelta(days=5)).timestamp())
    shop.has(customer(), subscription(status="past_due", collection_method="send_invoice"))
    shop.has(invoice("in_1", subscription="sub_1", status="open", collection_method="send_invoice", due_date=due))
    shop.refresh()
    with pytest.raises(PreviewNeeded):
        contacts_settings.commit(shop.engine, shop.account, {"grace_days": 3}, "ada", None)
    effect = contacts_settings.commit(shop.engine, shop.account, {"grace_days": 3}, "ada", None, anyway=True)
    assert effect.entitlements == 3
    assert shop.rows("select data ->> 'feature' from tidegate.outbox where type = 'entitlement.revoked'") == [
        ("calls",),
        ("seats",),
        ("sso",),
    ]


def test_pauses_that_give_no_access_any_more_are_told(shop: Shop) -> None:
    shop.settings(create_missing=True)
    shop.catalog()
    paused = {"pause_collection": {"behavior": "keep_as_draft", "resumes_at": None}}
    shop.has(customer(), subscription(**paused))
    shop.refresh()
    tried = contacts_settings.preview(shop.engine, shop.account, {"paused_gives": []})
    assert tried.features["sso"] == [{"contact": "account:ada@example.com", "before": True, "now": None}]
    contacts_settings.commit(shop.engine, shop.account, {"paused_gives": []}, "ada", tried.token)
    assert len(shop.rows("select * from tidegate.outbox where type = 'entitlement.revoked'")) == 3


def test_all_that_wait_are_accepted_by_batches_and_taken_back(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(contacts_review, "BATCH", 2)
    for number in range(1, 6):
        buys(shop, number, email="" if number % 2 else "bob@example.com")
    shop.refresh()
    before = shop.rows("select * from tidegate.reviews order by customer")
    done = contacts_review.accept(shop.engine, shop.account, [], "ada", every=True)
    assert (done["linked"], done["created"]) == (5, 4)
    assert shop.rows("select count(*) from tidegate.contact_changes where action = 'accept_part'") == [(3,)]
    undone = contacts_review.undo(shop.engine, done["batch"], "ada")
    assert (undone["unlinked"], undone["removed"], undone["kept"]) == (5, 4, [])
    assert shop.rows("select * from tidegate.reviews order by customer") == before


def test_what_gives_something_is_done_without_a_preview(shop: Shop) -> None:
    shop.catalog()
    make(shop, "acme", email="ada@example.com")
    buys(shop, 1)
    shop.refresh()
    gone = contacts.unlinked(shop.account, "cus_1", "ada")
    with pytest.raises(PreviewNeeded):
        previewing.settle(shop.engine, gone)
    previewing.settle(shop.engine, gone, previewing.preview(shop.engine, gone).token)
    done = previewing.settle(shop.engine, contacts.unlinked(shop.account, "cus_1", "ada", rematch=True))
    assert done.result["contact"] == "account:acme"


def previews(shop: Shop) -> dict[str, Any]:
    return {
        "a link": lambda: previewing.preview(shop.engine, contacts.linked(shop.account, "cus_1", "acme", "ada")),
        "settings": lambda: contacts_settings.preview(shop.engine, shop.account, {"create_missing": True}),
        "an import": lambda: contacts_import.import_contacts(
            shop.engine, False, shop.account, lambda: nullcontext(["id", "new"]), "ada", dry_run=True
        ),
    }


@pytest.mark.parametrize("what", ["a link", "settings", "an import"])
def test_a_preview_waits_for_nobody_who_changes_contacts(shop: Shop, what: str) -> None:
    make(shop, "acme")
    buys(shop, 1)
    shop.refresh()
    with shop.engine.begin() as other:
        linking.lock(other)
        previews(shop)[what]()


def test_who_cannot_change_contacts_is_told_why(shop: Shop) -> None:
    with shop.engine.begin() as other, shop.engine.begin() as db:
        linking.lock(other)
        db.execute(text("set local lock_timeout = '1ms'"))
        with pytest.raises(ContactsBusy, match="being changed by another command"):
            linking.lock(db)


def test_a_preview_that_others_stand_in_the_way_of_says_so(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    make(shop, "acme")
    buys(shop, 1)
    shop.refresh()
    tries: list[int] = []

    def held(_db: Connection) -> None:
        tries.append(1)
        raise OperationalError("", {}, LockNotAvailable())

    with pytest.raises(ContactsBusy):
        previewing.tried(shop.engine, held)
    assert len(tries) == 5

"""Contacts of your own: from CSV, checked whole first, as often as you like; one by one; changed."""

from collections.abc import Iterator
from contextlib import nullcontext
from typing import Any

import pytest
from sqlalchemy import text
from tests.support.builders import customer, item, subscription
from tests.support.shop import Shop, opened

from tidegate.contacts import directory
from tidegate.contacts.records import Record
from tidegate.errors import ContactFileInvalid, ContactInvalid, ContactUnknown
from tidegate.workflows import previewing
from tidegate.workflows import refresh as refreshing
from tidegate.workflows.contacts import contacts, contacts_edit, contacts_import

FILE = """id,kind,emails,name,domains,account,role,owner,properties,properties.seats,billing_ids
u1,user,Bob@Other.com,Bob,,acme,owner,,,,
acme,account,,Acme,acme.com,,,eve,"{""plan"": ""x""}",12,cus_1
u2,user,,,,old,,,,,
"""


@pytest.fixture
def shop(fresh_database_url: str) -> Iterator[Shop]:
    with opened(fresh_database_url) as shop:
        yield shop


def take(shop: Shop, file: str, **options: Any) -> dict[str, Any]:
    lines = file.splitlines(keepends=True)
    options = {"account": shop.account} | options
    account = options.pop("account")
    done = contacts_import.import_contacts(shop.engine, False, account, lambda: nullcontext(lines), "ada", **options)
    return done.as_json()


def shown(shop: Shop, ref: str) -> dict[str, Any]:
    with shop.engine.connect() as db:
        return contacts.shown(db, directory.find(db, False, ref))


def put(shop: Shop, record: Record) -> bool:
    return contacts_edit.put(shop.engine, False, record, "ada", connection="acme")[1]


def buys(shop: Shop, number: int, **fields: Any) -> None:
    sub, cus = f"sub_{number}", f"cus_{number}"
    shop.has(customer(cus, number, **fields), subscription(sub, [item(f"si_{number}", sub)], customer=cus))


def rows(shop: Shop) -> list[list[tuple[Any, ...]]]:
    return [
        shop.rows(f"select * from tidegate.{table} order by 1, 2, 3")
        for table in ("contacts", "contact_ids", "contact_emails", "contact_members", "links", "outbox", "reviews")
    ]


def test_a_file_makes_contacts_links_them_and_can_be_taken_again(shop: Shop) -> None:
    shop.catalog()
    put(shop, Record("account", "old"))
    buys(shop, 1, email="x@nowhere.org")
    buys(shop, 2, email="bob@other.com")
    buys(shop, 3, email="eve@acme.com")
    shop.refresh()
    before = rows(shop)
    tried = take(shop, FILE, dry_run=True)
    assert rows(shop) == before
    done = take(shop, FILE)
    assert tried == done | {"dry_run": True}
    assert (done["lines"], done["created"], done["updated"], done["linked"], done["joined"]) == (3, 3, 0, 1, 2)
    assert done["matched"] == 2
    found = shown(shop, "acme")
    assert (found["name"], found["owner"], found["properties"]) == ("Acme", "eve", {"plan": "x", "seats": 12})
    assert [(one["customer"], one["method"]) for one in found["links"]] == [
        ("cus_3", "domain"),
        ("cus_2", "email"),
        ("cus_1", "billing_id"),
    ]
    assert [(one["contact"], one["role"]) for one in found["members"]] == [("user:u1", "owner")]
    assert shown(shop, "u2")["accounts"][0]["contact"] == "account:old"
    assert shop.answer("u1", "sso")["via"] == "account:acme"
    again = rows(shop)
    assert take(shop, FILE)["unchanged"] == 3
    assert rows(shop) == again
    assert (shown(shop, "acme")["made_by"], shown(shop, "acme")["name_is_yours"]) == ("csv", True)


def test_a_file_taken_again_writes_nothing_at_all(shop: Shop) -> None:
    """Every version of every row of ours (ctid, xmin) stays, but for the queue of whom to look at again."""
    shop.catalog()
    shop.settings(create_missing=True)
    put(shop, Record("account", "old"))
    for number in range(1, 4):
        buys(shop, number, email=f"c{number}@acme.com")
    shop.refresh()
    assert take(shop, FILE)["changed"]
    ours = "select tablename from pg_tables where schemaname = 'tidegate' and tablename <> 'lifecycle_due' order by 1"
    names = shop.rows(ours)
    every = [f"select ctid::text, xmin::text from tidegate.{name} order by 1" for (name,) in names]
    before = [shop.rows(sql) for sql in every]
    again = take(shop, FILE)
    assert (again["changed"], again["unchanged"]) == (False, 3)
    assert [shop.rows(sql) for sql in every] == before
    assert shop.rows("select count(*) from tidegate.contact_changes where action = 'import'") == [(1,)]


def test_a_file_changes_what_it_says_and_leaves_the_rest(shop: Shop) -> None:
    take(shop, FILE.replace(",old,", ",acme,"))
    done = take(shop, "id,name,emails,properties.seats\nacme,,new@acme.com,13\n")
    assert (done["updated"], done["created"]) == (1, 0)
    found = shown(shop, "acme")
    assert (found["name"], found["email"], found["properties"]) == ("Acme", "new@acme.com", {"plan": "x", "seats": 13})


def test_everything_that_is_wrong_is_told_and_nothing_is_written(shop: Shop) -> None:
    shop.catalog()
    put(shop, Record("account", "acme"))
    contacts_edit.alias(shop.engine, False, "acme", "alias", "ada")
    put(shop, Record("account", "other"))
    buys(shop, 1)
    previewing.commit(shop.engine, contacts.linked(shop.account, "cus_1", "other", "ada"), None)
    before = rows(shop)
    file = (
        "id,kind,account,billing_ids\n"
        "acme,account,,cus_1\nalias,account,,\nacme,account,,\nb,account,,cus_7\nc,account,,cus_7\nu,user,nowhere,\n,,,\n"
        "d,robot,,\n"
    )
    with pytest.raises(ContactFileInvalid) as told:
        take(shop, file, name="list.csv")
    assert str(told.value).startswith("Nothing of list.csv was taken, because 6 of its lines cannot be: ")
    for one in (
        "line 2: cus_1 is linked to account:other by hand",
        "line 3: alias is another id of the contact of line 2",
        "line 4: account:acme stands in line 2 already",
        "line 6: the customer cus_7 stands in line 5 already",
        "line 7: there is no account nowhere",
        "line 9: the kind is 'robot'",
    ):
        assert one in str(told.value)
    assert rows(shop) == before


def test_billing_ids_need_a_connection(shop: Shop) -> None:
    with pytest.raises(ContactFileInvalid, match="not said of which connection"):
        take(shop, "id,billing_ids\na,cus_1\n", account=None)
    assert take(shop, "id\na\n", account=None)["created"] == 1


def test_a_file_of_many_lines_is_taken_by_batches(shop: Shop) -> None:
    shop.has(customer("cus_1", email="user1200@x.com"), subscription())
    shop.refresh()
    lines = "".join(f"a{n},user{n}@x.com\n" for n in range(1300))
    seen: list[tuple[str, int]] = []
    done = take(shop, "id,emails\n" + lines, progress=lambda step, n, _total: seen.append((step, n)))
    assert (done["created"], done["matched"]) == (1300, 1)
    assert ("contacts", 500) in seen
    assert ("contacts", 1300) in seen
    assert shop.rows("select count(*) from tidegate.contact_ids") == [(1300,)]


def test_a_contact_is_put_and_its_customers_are_matched_at_once(shop: Shop) -> None:
    shop.catalog()
    shop.settings(metadata_keys=["workspace_id"])
    buys(shop, 1, email="", metadata={"workspace_id": "w1"})
    buys(shop, 2, email="Straße@Example.com")
    buys(shop, 3, email="eve@acme.com")
    shop.refresh()
    assert put(shop, Record("account", "w1"))
    assert not put(shop, Record("account", "w1", "Acme", ("strasse@example.com",), ("acme.com",)))
    assert {(one["customer"], one["method"]) for one in shown(shop, "w1")["links"]} == {
        ("cus_1", "metadata"),
        ("cus_2", "email"),
        ("cus_3", "domain"),
    }
    assert shop.answer("w1", "sso")["granted"]
    with pytest.raises(ContactInvalid, match="no e-mail address"):
        put(shop, Record("account", "w2", emails=("x",)))
    with pytest.raises(ContactUnknown):
        put(shop, Record("user", "u", account="nowhere"))
    assert shop.rows("select count(*) from tidegate.contacts") == [(1,)]


def change(shop: Shop, ref: str, **given: Any) -> dict[str, Any]:
    contacts_edit.change(shop.engine, False, ref, given, "ada")
    return shown(shop, ref)


def test_a_contact_is_changed_field_by_field_and_given_back_to_stripe(shop: Shop) -> None:
    shop.settings(create_missing=True)
    buys(shop, 1, name="At Stripe", email="stripe@acme.com")
    shop.refresh()
    key = "stripe@acme.com"
    found = change(shop, key, name="Mine", email="mine@acme.com", properties={"a": 1, "b": {"c": []}}, owner="eve")
    assert (found["name"], found["email"], found["name_is_yours"]) == ("Mine", "mine@acme.com", True)
    assert found["emails"] == ["mine@acme.com", "stripe@acme.com"]
    shop.has(customer(name="Renamed", email="new@acme.com"), at=500)
    shop.refresh()
    assert shown(shop, key)["name"] == "Mine"
    found = change(shop, key, name=None, email=None, properties={"a": None})
    assert (found["name"], found["email"], found["properties"]) == ("Renamed", "new@acme.com", {"b": {"c": []}})
    found = change(shop, key, emails=["x@acme.com", "y@acme.com"], domains=["Mail.Acme.com"])
    assert (found["email"], found["emails"], found["domains"]) == (
        "x@acme.com",
        ["x@acme.com", "y@acme.com"],
        ["acme.com"],
    )
    with pytest.raises(ContactInvalid, match="not among"):
        change(shop, key, email="z@acme.com", emails=["x@acme.com"])
    with pytest.raises(ContactInvalid, match="no domain"):
        change(shop, key, domains=["localhost"])
    newest = shown(shop, key)["changes"][0]
    assert newest["what"] == {"fields": ["domains", "email", "email_is_yours", "emails"]}


def test_nothing_changes_when_all_is_derived_again(shop: Shop) -> None:
    shop.catalog()
    shop.settings(metadata_keys=["workspace_id"], create_missing=True)
    for number in range(1, 6):
        buys(shop, number, email=f"u{number}@acme.com", metadata={"workspace_id": f"w{number % 3}"})
    shop.refresh()
    put(shop, Record("account", "list", emails=("u9@acme.com",), domains=("acme.com",), billing_ids=("cus_4",)))
    buys(shop, 9, email="U9@acme.com")
    shop.refresh()
    before = rows(shop)
    refreshing.refresh_all(shop.engine, shop.account)
    assert rows(shop) == before
    with shop.engine.connect() as db:
        assert db.scalar(text("select count(*) from tidegate.links")) == 6

"""Every rule by which customers are matched, as a table: contacts, settings, customers, what comes of it."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
from sqlalchemy import Engine, text
from tests.support.builders import customer, item, subscription
from tests.support.queue import empty
from tests.support.shop import Shop

from tidegate.contacts import directory, linking, matched_by
from tidegate.contacts.directory import Making
from tidegate.contacts.records import Record
from tidegate.workflows.contacts import contacts_edit
from tidegate.workflows.contacts.contacts_forget import forget

pytestmark = pytest.mark.further


@dataclass
class Case:
    """Contacts (in order, as fields of Making; `live`, `was`, `member_of` aside), customers, and by customer the
    contact and method, or the reason for which it waits; nothing for one that is left alone.
    """

    contacts: list[dict[str, Any]]
    customers: list[dict[str, Any]]
    expected: dict[str, Any]
    settings: dict[str, Any] = field(default_factory=dict[str, Any])


def contact(external_id: str, kind: str = "account", **fields: Any) -> dict[str, Any]:
    return {"external_id": external_id, "kind": kind, **fields}


W = {"metadata_keys": ["workspace_id", "old_id"]}
CREATE = {"create_missing": True}
USERS = {"kind": "user"}

CASES = {
    "your id in the metadata is certain": Case(
        [contact("w1")], [{"metadata": {"workspace_id": "w1"}}], {"cus_1": ("account:w1", "metadata")}, W
    ),
    "the first of the metadata keys wins": Case(
        [contact("w1"), contact("w2")],
        [{"metadata": {"old_id": "w2", "workspace_id": "w1"}}],
        {"cus_1": ("account:w1", "metadata")},
        W,
    ),
    "metadata beats e-mail": Case(
        [contact("w1"), contact("mail", email="ada@example.com")],
        [{"metadata": {"workspace_id": "w1"}}],
        {"cus_1": ("account:w1", "metadata")},
        W,
    ),
    "an unknown id leaves it to the e-mail": Case(
        [contact("mail", email="ada@example.com")],
        [{"metadata": {"workspace_id": "w9"}}],
        {"cus_1": ("account:mail", "email")},
        W,
    ),
    "an unknown id that nothing else answers is its own reason to wait": Case(
        [], [{"metadata": {"workspace_id": "w9"}}], {"cus_1": "id_unknown"}, W
    ),
    "a former id goes on leading to its contact": Case(
        [contact("new", was="w1")], [{"metadata": {"workspace_id": "w1"}}], {"cus_1": ("account:new", "metadata")}, W
    ),
    "metadata that is not asked for means nothing": Case(
        [contact("w1")], [{"metadata": {"workspace_id": "w1"}}], {"cus_1": "no_match"}
    ),
    "e-mails are compared case-folded, in all alphabets": Case(
        [contact("a", email="STRASSE@Müller.de"), contact("b", email="ΑΔΑ@example.com")],
        [{"email": " straße@MÜLLER.de "}, {"email": "αδα@example.com"}],
        {"cus_1": ("account:a", "email"), "cus_2": ("account:b", "email")},
    ),
    "any of a contact's e-mails will do": Case(
        [contact("a", emails=("x@example.com", "ada@example.com"))], [{}], {"cus_1": ("account:a", "email")}
    ),
    "two contacts with one e-mail are a conflict, never the first": Case(
        [contact("a", email="ada@example.com"), contact("b", email="ADA@example.com")],
        [{}],
        {"cus_1": ("conflict", ["account:a", "account:b"])},
        CREATE,
    ),
    "a user's e-mail is no account's": Case(
        [contact("a", "user", email="ada@example.com")], [{}], {"cus_1": "no_match"}
    ),
    "a member's e-mail is its account's": Case(
        [contact("a"), contact("u", "user", email="ada@example.com", member_of="a")],
        [{}],
        {"cus_1": ("account:a", "email")},
    ),
    "the registrable domain of the e-mail, where exactly one account has it": Case(
        [contact("a", domains=("www.acme.co.uk",))],
        [{"email": "ada@mail.acme.co.uk"}, {"email": "ada@other.co.uk"}],
        {"cus_1": ("account:a", "domain"), "cus_2": "no_match"},
    ),
    "an e-mail beats a domain": Case(
        [contact("a", domains=("acme.com",)), contact("b", email="ada@acme.com")],
        [{"email": "ada@acme.com"}],
        {"cus_1": ("account:b", "email")},
    ),
    "two accounts of one domain are a conflict": Case(
        [contact("a", domains=("acme.com",)), contact("b", domains=("acme.com",))],
        [{"email": "ada@acme.com"}],
        {"cus_1": ("conflict", ["account:a", "account:b"])},
    ),
    "a domain never makes a user": Case(
        [contact("a", domains=("acme.com",))], [{"email": "ada@acme.com"}], {"cus_1": "no_match"}, USERS
    ),
    "a mail provider's domain tells nothing, nor one of yours that you name": Case(
        [contact("a", domains=("gmail.com",)), contact("b", domains=("our-mail.org",))],
        [{"email": "ada@gmail.com"}, {"email": "ada@our-mail.org"}],
        {"cus_1": "no_match", "cus_2": "no_match"},
        {"free_mail": ["our-mail.org"]},
    ),
    "nobody is made a contact unasked": Case([], [{}], {"cus_1": "no_match"}),
    "asked, a contact has its e-mail as id, or the customer's": Case(
        [],
        [{"email": "Ada@Example.com"}, {"email": None}],
        {"cus_1": ("account:ada@example.com", "created"), "cus_2": ("account:cus_2", "created")},
        CREATE,
    ),
    "a contact that is made for an id of yours has that id": Case(
        [], [{"metadata": {"workspace_id": "w1"}}], {"cus_1": ("account:w1", "created")}, CREATE | W
    ),
    "several customers are one contact": Case(
        [],
        [{}, {"email": "ADA@example.com"}, {"metadata": {"workspace_id": "ada@example.com"}, "email": None}],
        {
            "cus_1": ("account:ada@example.com", "created"),
            "cus_2": ("account:ada@example.com", "email"),
            "cus_3": ("account:ada@example.com", "metadata"),
        },
        CREATE | W,
    ),
    "an id that another contact has already is a conflict": Case(
        [contact("ada@example.com")], [{}], {"cus_1": ("conflict", [])}, CREATE
    ),
    "ids are unique per kind only": Case(
        [contact("w1"), contact("w1", "user")],
        [{"metadata": {"workspace_id": "w1"}}],
        {"cus_1": ("user:w1", "metadata")},
        USERS | W,
    ),
    "without a subscription a customer is left alone": Case(
        [contact("a", email="ada@example.com")], [{"alone": True}], {}
    ),
    "unless the settings say otherwise": Case(
        [contact("a", email="ada@example.com")],
        [{"alone": True}],
        {"cus_1": ("account:a", "email")},
        {"only_subscribed": False},
    ),
    "live and test are apart": Case([contact("a", email="ada@example.com", live=True)], [{}], {"cus_1": "no_match"}),
    "a deleted customer becomes nobody's": Case([contact("a", email="ada@example.com")], [{"deleted": True}], {}),
}


@pytest.fixture
def shop(engine: Engine) -> Iterator[Shop]:
    empty(engine)
    with engine.begin() as db:
        db.execute(
            text("""
truncate tidegate.contacts, tidegate.reviews, tidegate.contact_settings, tidegate.changed_customers, tidegate.outbox,
  stripe.customers, stripe.subscriptions, tidegate.matched_by, tidegate.forgotten cascade""")
        )
        db.execute(text("truncate stripe.subscription_items, tidegate.holdings, tidegate.unmapped_prices"))
    return Shop(engine)


def fill(shop: Shop, case: Case) -> None:
    shop.settings(**case.settings)
    with shop.engine.begin() as db:
        linking.lock(db)
        for one in case.contacts:
            given = dict(one)
            live, was, member_of = given.pop("live", False), given.pop("was", ""), given.pop("member_of", "")
            wanted = given["external_id"]
            key = directory.make(db, live, Making(**given | {"external_id": was or wanted}))
            if was:
                directory.rename(db, directory.of_key(db, key), wanted)
            if member_of:
                directory.join(db, directory.find(db, False, member_of).key, key)
    for number, fields in enumerate(case.customers, 1):
        given = dict(fields)
        alone = given.pop("alone", False)
        cus, sub = f"cus_{number}", f"sub_{number}"
        shop.has(customer(cus, number, **given))
        if not alone:
            shop.has(subscription(sub, [item(f"si_{number}", sub)], customer=cus))


def found(shop: Shop) -> dict[str, Any]:
    """As `Case.expected`."""
    links = shop.rows("""
select l.customer, c.kind || ':' || c.external_id, l.method from tidegate.links l
join tidegate.contacts c on c.key = l.contact""")
    waiting = shop.rows("""
select r.customer, r.reason, array(
  select c.kind || ':' || c.external_id from jsonb_array_elements(r.candidates) k
  join tidegate.contacts c on c.key = k::bigint order by c.key) from tidegate.reviews r""")
    linked: dict[str, Any] = {who: (ref, method) for who, ref, method in links}
    return linked | {who: (reason, refs) if reason == "conflict" else reason for who, reason, refs in waiting}


@pytest.mark.parametrize("name", CASES)
def test_whom_a_customer_is(shop: Shop, name: str) -> None:
    case = CASES[name]
    fill(shop, case)
    shop.refresh()
    assert found(shop) == case.expected


@pytest.mark.parametrize("name", CASES)
def test_looking_again_changes_nothing(shop: Shop, name: str) -> None:
    fill(shop, CASES[name])
    shop.refresh()
    state = ("select * from tidegate.links order by customer", "select * from tidegate.reviews order by customer",
             "select * from tidegate.contacts order by key", "select * from tidegate.outbox order by id")  # fmt: skip
    before = [shop.rows(sql) for sql in state]
    from tidegate.workflows import refresh as refreshing

    refreshing.refresh_all(shop.engine, shop.account)
    assert [shop.rows(sql) for sql in state] == before


LATER: dict[str, tuple[Case, dict[str, Any]]] = {
    "an id in the metadata": (
        Case([], [{}], {"cus_1": ("account:w1", "created")}, CREATE | W),
        {"metadata": {"workspace_id": "w1"}},
    ),
    "an id in the metadata of a customer without an address": (
        Case([], [{"email": None}], {"cus_1": ("account:w1", "created")}, CREATE | W),
        {"email": None, "metadata": {"workspace_id": "w1"}},
    ),
    "an id in the metadata, and another address": (
        Case([], [{}], {"cus_1": ("account:w1", "created")}, CREATE | W),
        {"email": "bob@example.com", "metadata": {"workspace_id": "w1"}},
    ),
}
"""What a customer gets later, by name: the case ends as if it had had it at first."""


@pytest.mark.parametrize("at_first", [True, False])
@pytest.mark.parametrize("name", LATER)
def test_what_comes_later_ends_as_if_it_had_come_first(shop: Shop, name: str, at_first: bool) -> None:
    case, later = LATER[name]
    fill(shop, case)
    if not at_first:
        shop.refresh()
    shop.has(customer("cus_1", 1, **later), at=200)
    shop.refresh()
    assert found(shop) == case.expected
    emails = shop.rows("select email from tidegate.contact_emails")
    assert emails == ([(later.get("email", "ada@example.com"),)] if later.get("email", "") is not None else [])


@pytest.mark.parametrize("at_first", [True, False])
def test_an_address_that_comes_later_beats_a_domain(shop: Shop, at_first: bool) -> None:
    fill(shop, Case([contact("a", domains=("acme.com",))], [{"email": "ada@acme.com"}], {}))
    if not at_first:
        shop.refresh()
        assert found(shop) == {"cus_1": ("account:a", "domain")}
    contacts_edit.put(shop.engine, False, Record("account", "b", emails=("ada@acme.com",)), "ada", connection=None)
    shop.refresh()
    assert found(shop) == {"cus_1": ("account:b", "email")}


def test_an_id_of_yours_is_added_where_the_contact_has_one_already(shop: Shop) -> None:
    fill(shop, Case([], [{}], {}, CREATE | W))
    shop.refresh()
    contacts_edit.rename(shop.engine, False, "ada@example.com", "mine", "ada")
    shop.has(customer("cus_1", 1, metadata={"workspace_id": "w1"}), at=200)
    shop.refresh()
    assert found(shop) == {"cus_1": ("account:mine", "created")}
    assert shop.rows("select external_id from tidegate.contact_ids order by 1") == [
        ("ada@example.com",),
        ("mine",),
        ("w1",),
    ]
    assert shop.rows("select data from tidegate.outbox where type = 'contact.renamed'") == [
        ({"from": "account:ada@example.com", "to": "account:mine"},)
    ]


def give_way(shop: Shop, how: str) -> None:
    """Ends, of two accounts that have ada@example.com, what makes one of them a candidate."""
    if how == "patch":
        contacts_edit.change(shop.engine, False, "b", {"emails": []}, "ada")
    elif how == "leave":
        contacts_edit.member(shop.engine, False, "b", "u", "ada", role=None)
    else:
        done = forget(shop.engine, False, "b", "ada", only_preview=True)
        forget(shop.engine, False, "b", "ada", only_preview=False, token=done.token)


@pytest.mark.parametrize("how", ["patch", "leave", "forget"])
def test_a_customer_that_waits_for_two_contacts_is_linked_when_one_gives_way(shop: Shop, how: str) -> None:
    other = [contact("b", email="ada@example.com")]
    if how == "leave":
        other = [contact("b"), contact("u", "user", email="ada@example.com", member_of="b")]
    fill(shop, Case([contact("a", email="ada@example.com"), *other], [{}], {}))
    shop.refresh()
    assert found(shop) == {"cus_1": ("conflict", ["account:a", "account:b"])}
    give_way(shop, how)
    assert found(shop) == {"cus_1": ("account:a", "email")}


def test_a_domain_that_two_accounts_have_is_certain_when_one_gives_it_up(shop: Shop) -> None:
    two = [contact("a", domains=("acme.com",)), contact("b", domains=("acme.com",))]
    fill(shop, Case(two, [{"email": "ada@acme.com"}], {}))
    shop.refresh()
    contacts_edit.change(shop.engine, False, "b", {"domains": []}, "ada")
    assert found(shop) == {"cus_1": ("account:a", "domain")}


def test_who_waits_for_an_id_is_linked_when_a_contact_gets_it(shop: Shop) -> None:
    named = [{"metadata": {"workspace_id": f"w{n}"}, "email": f"{n}@example.com"} for n in (1, 2)]
    fill(shop, Case([contact("a"), contact("b")], named, {}, W))
    shop.refresh()
    assert found(shop) == {"cus_1": "id_unknown", "cus_2": "id_unknown"}
    contacts_edit.rename(shop.engine, False, "a", "w1", "ada")
    contacts_edit.alias(shop.engine, False, "b", " w2 ", "ada")
    assert found(shop) == {"cus_1": ("account:w1", "metadata"), "cus_2": ("account:b", "metadata")}


def test_who_waits_for_a_taken_id_gets_it_when_it_is_given_up(shop: Shop) -> None:
    fill(shop, Case([contact("a", was="ada@example.com")], [{}], {}, CREATE))
    shop.refresh()
    assert found(shop) == {"cus_1": ("conflict", [])}
    contacts_edit.alias(shop.engine, False, "a", "ada@example.com", "ada", remove=True)
    assert found(shop) == {"cus_1": ("account:ada@example.com", "created")}


def test_an_address_composed_in_another_way_is_the_same(shop: Shop) -> None:
    fill(shop, Case([contact("a", email="jose\u0301@example.com")], [{"email": "Jos\u00e9@example.com"}], {}))
    shop.refresh()
    assert found(shop) == {"cus_1": ("account:a", "email")}
    shop.has(
        customer("cus_1", 1, email="new@example.com"), customer("cus_2", 2, email="jose\u0301@example.com"), at=200
    )
    shop.has(subscription("sub_2", [item("si_2", "sub_2")], customer="cus_2"))
    shop.refresh()
    assert found(shop)["cus_2"] == ("account:a", "email")
    shop.has(customer("cus_2", 2, email="JOS\u00c9@example.com"), at=300)
    shop.refresh()
    assert "jos\u00e9@example.com" in {row[0] for row in shop.rows("select folded from tidegate.contact_emails")}


def test_customers_that_a_change_concerns_are_found_without_reading_all(shop: Shop) -> None:
    with shop.engine.begin() as db:
        db.execute(text("set local enable_seqscan = off"))
        plan = db.scalars(text(f"explain {matched_by.CUSTOMERS}"), {
            "connection": "acme", "ids": ["w1"], "emails": ["ada@example.com"], "domains": ["acme.com"]
        }).all()  # fmt: skip
    assert not [line for line in plan if "Seq Scan" in line]

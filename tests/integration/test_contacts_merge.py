"""Two contacts become one and are parted again: row by row as they were, with what came since left where it is."""

from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import datetime
from threading import Event
from typing import Any

import pytest
from sqlalchemy import text
from tests.support.builders import customer, item, subscription
from tests.support.shop import Shop, opened
from tests.support.waiting import until

from tidegate.contacts import directory, linking
from tidegate.contacts.directory import Making
from tidegate.entitlements import ledger, overrides
from tidegate.entitlements.overrides import Giving
from tidegate.errors import ChangeUnknown, ContactInvalid, ContactUnknown, PreviewStale
from tidegate.workflows import refresh as refreshing
from tidegate.workflows.contacts import contacts, contacts_edit, contacts_merge
from tidegate.workflows.entitlements.entitlements import Use, use
from tidegate.workflows.previewing import Change, commit, preview

TABLES = {
    "contacts": "key, external_id, name, name_is_yours, email, email_is_yours, owner, properties, merged_into",
    "contact_ids": "*",
    "contact_emails": "*",
    "contact_domains": "*",
    "contact_members": "*",
    "links": "*",
    "reviews": "*",
    "overrides": "*",
    "usage": "*",
    "usage_debits": "*",
    "grants": "*",
    "holdings": "connection, subscription, package, version",
    "entitlements_told": "*",
}


@pytest.fixture
def shop(fresh_database_url: str) -> Iterator[Shop]:
    with opened(fresh_database_url) as shop:
        shop.catalog()
        yield shop


def make(shop: Shop, external_id: str, **fields: Any) -> int:
    with shop.engine.begin() as db:
        linking.lock(db)
        return directory.make(db, False, Making(fields.pop("kind", "account"), external_id, **fields))


def buys(shop: Shop, number: int, email: str) -> None:
    sub, cus = f"sub_{number}", f"cus_{number}"
    shop.has(customer(cus, number, email=email), subscription(sub, [item(f"si_{number}", sub)], customer=cus))


def uses(shop: Shop, ref: str, feature: str, amount: int, key: str | None = None) -> dict[str, Any]:
    return ordered(shop, Use(False, ref, feature, "consume", amount, key))


def ordered(shop: Shop, wanted: Use) -> dict[str, Any]:
    [done] = use(shop.engine, [wanted])
    assert isinstance(done, dict), done
    return done


def state(shop: Shop) -> dict[str, list[tuple[Any, ...]]]:
    return {
        name: sorted(shop.rows(f"select {columns} from tidegate.{name}"), key=repr) for name, columns in TABLES.items()
    }


def merge(shop: Shop, kept: str = "one", other: str = "two", **said: Any) -> Any:
    return carried_out(shop, contacts_merge.merged(False, kept, other, "ada"), **said)


def unmerge(shop: Shop, number: int, **said: Any) -> Any:
    return carried_out(shop, contacts_merge.unmerged(number, "ada"), **said)


def carried_out(shop: Shop, change: Change, *, only_preview: bool = False, token: str | None = None) -> Any:
    return preview(shop.engine, change) if only_preview else commit(shop.engine, change, token)


def two(shop: Shop) -> tuple[int, int]:
    """Two accounts with customers, addresses, members, overrides and usage, and a customer that both could be."""
    one = make(shop, "one", name="One", emails=("a@one.com", "both@x.com"), domains=("one.com",), properties={"a": 1})
    more = {"owner": "eve", "properties": {"a": 2, "b": 3}}
    other = make(shop, "two", emails=("a@two.com", "both@x.com"), domains=("two.com",), **more)
    for user in ("bob", "eve"):
        make(shop, user, kind="user")
        contacts_edit.member(shop.engine, False, "two", user, "ada", role="owner")
    contacts_edit.member(shop.engine, False, "one", "bob", "ada", role="reader")
    buys(shop, 1, "a@one.com")
    buys(shop, 2, "a@two.com")
    buys(shop, 3, "both@x.com")
    contacts_edit.alias(shop.engine, False, "two", "deux", "ada")
    shop.refresh()
    with shop.engine.begin() as db:
        overrides.give(db, Giving(other, "ada", "a gift", feature="seats", terms=7))
        refreshing.refresh_contacts(db, [other])
    uses(shop, "one", "calls", 10, "k1")
    uses(shop, "two", "calls", 5, "k1")
    uses(shop, "two", "calls", 6, "k2")
    uses(shop, "two", "seats", 12)
    refreshing.refresh_all(shop.engine, shop.account)
    return one, other


def test_a_merge_moves_everything_and_adds_up_usage(shop: Shop) -> None:
    one, other = two(shop)
    assert shop.rows("select customer, reason from tidegate.reviews") == [("cus_3", "conflict")]
    done = merge(shop)
    assert done.result["moved"] | {"overrides": 1, "usage": 2, "debits": 3} == done.result["moved"]
    assert done.result["differences"] == {"properties.a": {"kept": 1, "given_up": 2}}
    assert done.result["matched"] == ["cus_3"]
    found = shown(shop, "deux")
    assert found["contact"] == "account:one"
    assert [one["id"] for one in found["ids"]] == ["one", "two", "deux"]
    assert found["emails"] == ["a@one.com", "a@two.com", "both@x.com"]
    assert found["domains"] == ["one.com", "two.com"]
    assert [(m["contact"], m["role"]) for m in found["members"]] == [("user:bob", "reader"), ("user:eve", "owner")]
    assert (found["owner"], found["properties"]) == ("eve", {"a": 1, "b": 3})
    assert {link["customer"] for link in found["links"]} == {"cus_1", "cus_2", "cus_3"}
    assert [(m["contact"], m["merge"]) for m in found["merged"]] == [("account:two", done.result["merge"])]
    assert (shop.answer("two", "calls")["contact"], uses(shop, "two", "calls", 1)["used"]) == ("account:one", 22)
    assert shown(shop, "one")["usage"]["seats"]["limit"] == 17
    assert {row[0] for row in shop.rows("select contact from tidegate.grants")} == {one}
    assert shop.rows("select type from tidegate.outbox where type like '%merged' order by id") == [("contact.merged",)]
    assert shop.rows(f"select count(*) from tidegate.entitlements_told where contact = {other}") == [(0,)]


def shown(shop: Shop, ref: str) -> dict[str, Any]:
    with shop.engine.connect() as db:
        return contacts.shown(db, directory.find(db, False, ref))


def test_a_preview_tells_what_both_have_together_and_leaves_everything(shop: Shop) -> None:
    two(shop)
    before = state(shop)
    tried = merge(shop, only_preview=True)
    assert state(shop) == before
    assert tried.features == {
        "seats": [
            {"contact": "account:one", "before": {"limit": 10}, "now": {"limit": 17}},
        ]
    }
    uses(shop, "one", "calls", 1)
    assert merge(shop, token=tried.token).done
    with pytest.raises(ChangeUnknown):
        unmerge(shop, 999)


def test_a_stale_preview_of_a_merge_is_refused(shop: Shop) -> None:
    _, other = two(shop)
    tried = merge(shop, only_preview=True)
    with shop.engine.begin() as db:
        overrides.give(db, Giving(other, "ada", "more", feature="seats", terms=1))
        refreshing.refresh_contacts(db, [other])
    before = state(shop)
    with pytest.raises(PreviewStale):
        merge(shop, token=tried.token)
    assert state(shop) == before


def test_an_unmerge_puts_every_row_back(shop: Shop) -> None:
    two(shop)
    before = state(shop)
    done = merge(shop)
    tried = unmerge(shop, done.result["merge"], only_preview=True)
    undone = unmerge(shop, done.result["merge"], token=tried.token)
    assert undone.result["stayed"] == []
    after = state(shop)
    for name in TABLES:
        assert after[name] == before[name], name
    with pytest.raises(ChangeUnknown, match="was undone"):
        unmerge(shop, done.result["merge"])
    refreshing.refresh_all(shop.engine, shop.account)
    assert state(shop) == before


def test_what_came_since_stays_with_the_contact_that_was_kept(shop: Shop) -> None:
    one, other = two(shop)
    done = merge(shop)
    uses(shop, "one", "calls", 100, "k9")
    contacts_edit.alias(shop.engine, False, "one", "deux", "ada", remove=True)
    from tidegate.workflows import previewing

    previewing.commit(shop.engine, contacts.unlinked(shop.account, "cus_2", "ada"), None)
    undone = unmerge(shop, done.result["merge"])
    assert undone.result["stayed"] == [
        "1 ids were taken away or given to others since",
        "1 customers were linked anew since and stay where they are",
    ]
    used = dict(shop.rows("select contact, used from tidegate.usage where feature = 'calls'"))
    assert used == {one: 110, other: 11}
    with pytest.raises(ContactUnknown):
        shown(shop, "deux")


def test_usage_that_was_given_back_since_is_not_invented_again(shop: Shop) -> None:
    one, other = two(shop)
    done = merge(shop)
    ordered(shop, Use(False, "one", "calls", "set", 4))
    unmerge(shop, done.result["merge"])
    used = dict(shop.rows("select contact, used from tidegate.usage where feature = 'calls'"))
    assert used == {one: 0, other: 4}


def test_merges_are_undone_last_first(shop: Shop) -> None:
    two(shop)
    three = make(shop, "three")
    with shop.engine.begin() as db:
        refreshing.refresh_contacts(db, [three])
    before = state(shop)
    first = merge(shop)
    second = merge(shop, "three", "one")
    with pytest.raises(ContactInvalid, match="undo that first"):
        unmerge(shop, first.result["merge"])
    with shop.engine.connect() as db:
        assert contacts_merge.number_of(db, False, "one") == second.result["merge"]
        assert contacts_merge.number_of(db, False, str(first.result["merge"])) == first.result["merge"]
        with pytest.raises(ChangeUnknown):
            contacts_merge.number_of(db, False, "nobody")
    unmerge(shop, second.result["merge"])
    unmerge(shop, first.result["merge"])
    assert state(shop) == before


@pytest.mark.parametrize(("kept", "other", "says"), [("one", "deux", "one contact"), ("one", "bob", "two kinds")])
def test_what_cannot_be_one_contact_is_refused(shop: Shop, kept: str, other: str, says: str) -> None:
    two(shop)
    before = state(shop)
    if other == "deux":
        kept = "two"
    with pytest.raises(ContactInvalid, match=says):
        merge(shop, kept, other)
    assert state(shop) == before


@pytest.fixture
def beside() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(3) as threads:
        yield threads


def waits(shop: Shop, doing: "Future[Any]", many: int = 1) -> None:
    """Until so many transactions wait for usage that others hold; `doing` is one of them."""
    sql = f"select count(*) >= {many} from pg_locks where locktype = 'advisory' and not granted"
    until(lambda: doing.done() or shop.scalar(sql), "somebody waits for usage that is held")
    assert not doing.done()


def both_use_calls(shop: Shop) -> None:
    make(shop, "one")
    make(shop, "two")
    with shop.engine.begin() as db:
        for ref in ("one", "two"):
            overrides.give(db, Giving(directory.find(db, False, ref).key, "ada", feature="calls", terms=100))


def test_what_is_being_debited_while_contacts_merge_is_not_lost(shop: Shop, beside: ThreadPoolExecutor) -> None:
    both_use_calls(shop)
    uses(shop, "two", "calls", 1)
    with shop.engine.begin() as db:
        ledger.hold(db, False, [("two", "calls")])
        merging = beside.submit(merge, shop)
        waits(shop, merging)
        db.execute(text("update tidegate.usage set used = used + 5"))
    number = merging.result().result["merge"]
    assert shop.answer("one", "calls", now(shop))["used"] == 6
    with shop.engine.begin() as db:
        ledger.hold(db, False, [("two", "calls")])
        parting = beside.submit(unmerge, shop, number)
        waits(shop, parting)
        db.execute(text("update tidegate.usage set used = used + 7"))
    parting.result()
    assert (shop.answer("one", "calls", now(shop))["used"], shop.answer("two", "calls", now(shop))["used"]) == (7, 6)


def test_a_debit_that_waited_for_a_merge_holds_whom_it_leads_to(shop: Shop, beside: ThreadPoolExecutor) -> None:
    both_use_calls(shop)

    def book(key: int) -> None:
        with shop.engine.begin() as other:
            ledger.hold_contacts(other, [key])
            started.set()
            assert release.wait(20)

    started, release = Event(), Event()
    with shop.engine.begin() as db:
        linking.lock(db)
        one = directory.find(db, False, "one")
        contacts_merge.merged(False, "one", "two", "ada").do(db)
        first = beside.submit(book, one.key)
        waits(shop, first)
        debit = beside.submit(uses, shop, "two", "calls", 3)
        waits(shop, debit, 2)
    assert started.wait(20)
    waits(shop, debit)
    release.set()
    assert debit.result()["used"] == 3
    assert shop.rows("select contact, used from tidegate.usage") == [(one.key, 3)]
    first.result()


def now(shop: Shop) -> datetime:
    return shop.scalar("select clock_timestamp()")

"""Billing events in the database: derived of a whole company and of single changes, told once, listed, forgotten."""

import itertools
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from cryptography.fernet import Fernet
from sqlalchemy import text
from tests.support import databases, hubs
from tests.support.bills import once, recurring
from tests.support.builders import customer, invoice, price, subscription
from tests.support.command_line import Cli
from tests.support.importing import imported
from tests.support.live import Live
from tests.support.serving import serving
from tests.support.shop import Shop, opened

from tidegate.api.app import create_app
from tidegate.contacts import directory
from tidegate.contacts.directory import Making
from tidegate.errors import UsageError
from tidegate.mirror import inbox
from tidegate.mirror.inbox import Entry
from tidegate.revenue import events, ledger
from tidegate.revenue.events import Filter, Kept
from tidegate.sandbox.config import SandboxConfig
from tidegate.sandbox.server import Sandbox
from tidegate.security import tokens
from tidegate.workflows import refresh as refreshing
from tidegate.workflows.contacts.contacts_forget import forget

LATER = 2_000_000_000
"""After every connection of a test."""


KEY = Fernet.generate_key().decode()


def keep(shop: Shop, *customers: str, as_of: int = LATER) -> Kept:
    with shop.engine.begin() as db:
        return events.keep_events(db, ledger.begin(db, "acme"), list(customers), as_of)


@pytest.fixture(scope="module")
def shop_url(server_url: str) -> Iterator[str]:
    with databases.scratch(server_url) as url:
        yield url


@pytest.fixture(scope="module")
def shop(shop_url: str) -> Iterator[Shop]:
    with opened(shop_url) as shop:
        shop.has(price("price_pro"))
        with shop.engine.begin() as db:
            db.execute(text("update connections set complete_as_of = to_timestamp(1000)"))
        keep(shop)  # from then on it is told
        yield shop


def paid(id_: str, of: str, lines: list[dict[str, Any]], **fields: Any) -> dict[str, Any]:
    """A paid invoice of 2033."""
    total = sum(one["amount"] for one in lines)
    told = {
        "id_": id_, "lines": lines, "customer": of, "total": total, "amount_due": total, "amount_paid": total,
        "created": LATER, "effective_at": LATER, "customer_email": "billing@example.com",
        "pre_payment_credit_notes_amount": 0, "status_transitions": {"finalized_at": LATER, "paid_at": LATER + 10},
    }  # fmt: skip
    return invoice(**{**told, **fields})


def charge(id_: str, of: str, invoice_id: str, **fields: Any) -> dict[str, Any]:
    told = {"customer": of, "invoice": invoice_id, "amount": 1000, "currency": "usd", "created": LATER}
    return {"id": id_, "object": "charge", "status": "succeeded", **told, **fields}


def told(shop: Shop, of: str) -> list[tuple[Any, ...]]:
    return shop.rows(
        f"""select data ->> 'id', data -> 'amount' from tidegate.outbox
        where type = 'billing_event.recorded' and data ->> 'customer' = '{of}' order by id"""
    )


def test_nothing_is_told_of_a_time_before_the_import_was_complete(fresh_database_url: str) -> None:
    def billed(name: str, at: int) -> None:
        lines = [recurring(f"il_{name}", 1000, subscription="sub_new")]
        paid_at = {"finalized_at": at, "paid_at": at}
        shop.has(paid(f"in_{name}", "cus_new", lines, created=at, effective_at=at, status_transitions=paid_at))
        keep(shop, "cus_new")

    with opened(fresh_database_url) as shop:
        shop.has(price("price_pro"), customer("cus_new"), subscription("sub_new", customer="cus_new"))
        with shop.engine.begin() as db:
            db.execute(text("update connections set complete_as_of = null"))
        billed("importing", LATER)
        known_until(shop, LATER + 100)
        billed("before", LATER + 50)
        assert told(shop, "cus_new") == []
        billed("after", LATER + 150)
        assert told(shop, "cus_new") == [("billed:in_after:sub_new:month", 1000)]


def test_an_invoice_that_is_paid_late_is_told_once(shop: Shop) -> None:
    lines = [recurring("il_late", 1000, subscription="sub_late"), once("il_fee", 500)]
    shop.has(customer("cus_late"), subscription("sub_late", customer="cus_late"))
    shop.has(charge("ch_late_1", "cus_late", "in_late", status="failed", failure_code="card_declined"))
    states = [{"status": "open", "amount_paid": 0}, {"status": "uncollectible", "amount_paid": 0}, {}]
    found: list[list[str]] = []
    for n, state in enumerate(states):
        shop.has(paid("in_late", "cus_late", lines, **state), at=100 + n)
        keep(shop, "cus_late")
        found.append([id_ for id_, _ in told(shop, "cus_late")])
    after = ["billed:in_late:sub_late:month", "purchase:in_late:ii_il_fee"]
    assert found == [["failed:ch_late_1"], ["failed:ch_late_1"], ["failed:ch_late_1", *after]]
    assert keep(shop, "cus_late") == Kept(0, 0, 0)


def test_a_refund_that_fails_is_told_as_taken_back(shop: Shop) -> None:
    refund = {
        "id": "re_back",
        "object": "refund",
        "charge": "ch_back",
        "amount": 400,
        "currency": "usd",
        "created": LATER,
    }
    shop.has(customer("cus_back"), subscription("sub_back", customer="cus_back"))
    shop.has(paid("in_back", "cus_back", [recurring("il_back", 1000, subscription="sub_back")]))
    shop.has(charge("ch_back", "cus_back", "in_back"), refund | {"status": "succeeded"})
    keep(shop, "cus_back")
    shop.told(refund | {"status": "failed", "failure_reason": "lost_or_stolen_card"}, at=LATER + 50)
    assert keep(shop, "cus_back").recorded == 1
    assert told(shop, "cus_back")[1:] == [("refund:re_back", 400), ("refund:re_back:reversed", -400)]
    [(at, reason)] = shop.rows(
        "select extract(epoch from at)::int, data ->> 'reason' from billing_events where reverses = 'refund:re_back'"
    )
    assert (at, reason) == (LATER + 50, "the refund failed: lost_or_stolen_card")


def test_when_a_refund_failed_that_an_import_finds_failed_is_when_it_was_made(shop: Shop) -> None:
    made = {"created": LATER + 20, "charge": "ch_was", "amount": 400, "currency": "usd", "status": "succeeded"}
    refund = {"id": "re_was", "object": "refund", **made}
    shop.has(customer("cus_was"), subscription("sub_was", customer="cus_was"))
    shop.has(paid("in_was", "cus_was", [recurring("il_was", 1000, subscription="sub_was")]))
    shop.has(charge("ch_was", "cus_was", "in_was"), refund)
    keep(shop, "cus_was")
    shop.has(refund | {"status": "failed", "failure_reason": "unknown"}, at=LATER + 500)
    keep(shop, "cus_was")
    [(at,)] = shop.rows("select extract(epoch from at)::int from billing_events where reverses = 'refund:re_was'")
    assert at == LATER + 20


def test_a_dispute_that_is_lost_later_is_told_though_its_payment_is_history(shop: Shop) -> None:
    disputed = {
        "id": "dp_old",
        "object": "dispute",
        "charge": "ch_old",
        "amount": 1000,
        "currency": "usd",
        "created": 90,
    }
    past = {"created": 50, "effective_at": 50, "status_transitions": {"finalized_at": 50, "paid_at": 60}}
    shop.has(customer("cus_old"), subscription("sub_old", customer="cus_old"))
    shop.has(paid("in_old", "cus_old", [recurring("il_old", 1000, subscription="sub_old")], **past))
    shop.has(charge("ch_old", "cus_old", "in_old", created=60), disputed | {"status": "under_review"})
    keep(shop, "cus_old")
    assert told(shop, "cus_old") == []
    shop.told(disputed | {"status": "lost"}, at=LATER)
    keep(shop, "cus_old")
    assert told(shop, "cus_old") == [("dispute:dp_old", 1000)]


def test_a_payment_names_its_invoice_by_its_intent(shop: Shop) -> None:
    link = {
        "id": "inpay_1", "object": "invoice_payment", "invoice": "in_intent", "status": "open", "created": LATER,
        "payment": {"type": "payment_intent", "payment_intent": "pi_1"},
    }  # fmt: skip
    shop.has(customer("cus_intent"), subscription("sub_intent", customer="cus_intent"), link)
    shop.has(paid("in_intent", "cus_intent", [recurring("il_intent", 1000, subscription="sub_intent")], status="open"))
    shop.has(charge("ch_intent", "cus_intent", "", invoice=None, payment_intent="pi_1", status="failed"))
    shop.has(charge("ch_alone", "cus_intent", "", invoice=None, payment_intent="pi_2", status="failed"))
    keep(shop, "cus_intent")
    assert [id_ for id_, _ in told(shop, "cus_intent")] == ["failed:ch_intent"]


def test_a_payment_is_of_the_invoice_that_names_its_charge(shop: Shop) -> None:
    """As invoices did until 2025."""
    shop.has(customer("cus_named"), subscription("sub_named", customer="cus_named"))
    lines = [recurring("il_named", 1000, subscription="sub_named")]
    shop.has(paid("in_named", "cus_named", lines, status="open", charge="ch_named"))
    shop.has(charge("ch_named", "cus_named", "", invoice=None, status="failed"))
    keep(shop, "cus_named")
    assert [id_ for id_, _ in told(shop, "cus_named")] == ["failed:ch_named"]


def attempted(shop: Shop, invoice_id: str, of: str, count: int, at: int) -> None:
    """The invoice is told to count one more attempt."""
    body = paid(invoice_id, of, [recurring(f"il_{of}", 1000, subscription=f"sub_{of}")], status="open")
    shop.told(body | {"attempt_count": count}, at=at, previous={"attempt_count": count - 1})


def known_until(shop: Shop, at: int) -> None:
    """Everything that Stripe did before then is in the mirror."""
    with shop.engine.begin() as db:
        db.execute(text("update connections set complete_as_of = to_timestamp(:at)"), {"at": at})


@pytest.fixture
def nothing_known(shop: Shop) -> Iterator[None]:
    yield
    known_until(shop, 1000)


@pytest.mark.usefixtures("nothing_known")
def test_an_attempt_without_a_charge_is_known_by_what_the_invoice_counts(shop: Shop) -> None:
    shop.has(customer("cus_card"), subscription("sub_cus_card", customer="cus_card"))
    shop.has(charge("ch_card", "cus_card", "in_card", status="failed", created=LATER + 7_000))
    attempted(shop, "in_card", "cus_card", 1, LATER + 100)
    attempted(shop, "in_card", "cus_card", 2, LATER + 7_000)
    known_until(shop, LATER + 161)
    keep(shop, "cus_card")
    assert [id_ for id_, _ in told(shop, "cus_card")] == ["failed:in_card:1", "failed:ch_card"]


@pytest.mark.usefixtures("nothing_known")
def test_that_an_attempt_made_no_charge_is_told_once_all_around_it_is_known(shop: Shop) -> None:
    shop.has(customer("cus_wait"), subscription("sub_cus_wait", customer="cus_wait"))
    attempted(shop, "in_wait", "cus_wait", 1, LATER + 100)
    entry = Entry("acme", "evt_before", "charge.failed", LATER + 99, "webhook", "{}")
    with shop.engine.begin() as db:
        inbox.keep(db, [entry])
    for until, settled in ((LATER + 160, False), (LATER + 161, False), (LATER + 161, True)):
        known_until(shop, until)
        if settled:
            assert told(shop, "cus_wait") == []
            with shop.engine.begin() as db:
                inbox.settle(db, "acme", ["evt_before"], "handled")
        shop.refresh()
    assert [id_ for id_, _ in told(shop, "cus_wait")] == ["failed:in_wait:1"]
    with shop.engine.begin() as db:  # what is heard late of that time does not take back what was told
        inbox.keep(db, [entry._replace(event_id="evt_late")])
    assert keep(shop, "cus_wait") == Kept(0, 0, 0)
    assert shop.rows("select customer from tidegate.awaited") == []


ORDERS = list(itertools.permutations(("attempt", "charge", "link")))


@pytest.mark.parametrize("order", ORDERS, ids="-".join)
def test_a_refused_charge_is_told_once_in_whatever_order_it_is_heard_of(shop: Shop, order: tuple[str, ...]) -> None:
    who = f"cus_{'_'.join(order)}"
    link = {
        "id": f"inpay_{who}", "object": "invoice_payment", "invoice": f"in_{who}", "status": "open", "created": LATER,
        "payment": {"type": "payment_intent", "payment_intent": f"pi_{who}"},
    }  # fmt: skip
    fields = {"invoice": None, "payment_intent": f"pi_{who}", "status": "failed", "created": LATER + 99}
    shop.has(customer(who), subscription(f"sub_{who}", customer=who))
    for what in order:
        if what == "attempt":
            attempted(shop, f"in_{who}", who, 1, LATER + 100)
        elif what == "charge":
            shop.told(charge(f"ch_{who}", who, "", **fields), at=LATER + 99)
        else:
            shop.has(link, at=LATER + 200)
        keep(shop, who)
    assert [id_ for id_, _ in told(shop, who)] == [f"failed:ch_{who}"]


@pytest.mark.usefixtures("nothing_known")
def test_an_attempt_that_paid_is_none_that_failed(shop: Shop) -> None:
    shop.has(customer("cus_once"), subscription("sub_once", customer="cus_once"))
    body = paid("in_once", "cus_once", [recurring("il_once", 1000, subscription="sub_once")], attempt_count=1)
    shop.told(body, at=LATER + 100, previous={"attempt_count": 0})
    known_until(shop, LATER + 161)
    keep(shop, "cus_once")
    assert [id_ for id_, _ in told(shop, "cus_once")] == ["billed:in_once:sub_once:month"]


def test_a_canceled_subscription_and_one_that_never_began(shop: Shop) -> None:
    ends = {"ended_at": LATER, "canceled_at": LATER - 5, "customer": "cus_end"}
    details = {"cancellation_details": {"reason": "cancellation_requested", "feedback": "too_expensive"}}
    shop.has(customer("cus_end"), subscription("sub_end", status="canceled", **ends, **details))
    shop.has(subscription("sub_never", status="incomplete_expired", **ends))
    keep(shop, "cus_end")
    [row] = shop.rows("select id, data #>> '{properties,Subscription Cancelation Reason}' from billing_events "
                      "where customer = 'cus_end'")  # fmt: skip
    assert row == ("canceled:sub_end", "too_expensive")


@pytest.mark.parametrize(
    ("status", "identity"),
    [("incomplete_expired", "cus_{}"), ("incomplete", "cus_{}"), ("canceled", "billing@example.com")],
)
def test_who_never_had_a_subscription_is_known_by_stripes_id(shop: Shop, status: str, identity: str) -> None:
    who = f"cus_{status}"
    shop.has(customer(who), subscription(f"sub_{status}", customer=who, status=status))
    shop.has(paid(f"in_{status}", who, [once(f"il_{status}", 500)]))
    keep(shop, who)
    assert shop.rows(f"select distinct identity from billing_events where customer = '{who}' and amount > 0") == [
        (identity.format(status),)
    ]


def test_identity_is_your_id_once_it_is_linked_and_is_not_told_again(shop: Shop) -> None:
    shop.has(customer("cus_who"), subscription("sub_who", customer="cus_who"))
    shop.has(paid("in_who", "cus_who", [recurring("il_who", 1000, subscription="sub_who")]))
    keep(shop, "cus_who")
    with shop.engine.begin() as db:
        key = directory.make(db, False, Making("account", "acme-inc"))
        db.execute(
            text("insert into links (connection, customer, contact, method) values ('acme', 'cus_who', :k, 'manual')"),
            {"k": key},
        )
    assert keep(shop, "cus_who") == Kept(0, 1, 0)
    assert shop.scalar("select identity from billing_events where customer = 'cus_who'") == "acme-inc"
    assert len(told(shop, "cus_who")) == 1


def test_a_forgotten_customer_is_known_by_stripes_id(shop: Shop) -> None:
    shop.has(customer("cus_gone"), subscription("sub_gone", customer="cus_gone"))
    shop.has(paid("in_gone", "cus_gone", [recurring("il_gone", 1000, subscription="sub_gone")]))
    keep(shop, "cus_gone")
    mail = "billing@example.com"
    left = f"select count(*) from {{}} t where t::text like '%{mail}%' and t::text like '%cus_gone%'"
    assert (shop.scalar(left.format("billing_events")), shop.scalar(left.format("outbox"))) == (1, 1)
    done = forget(shop.engine, False, None, "ada", customer="cus_gone", account=shop.account, only_preview=False)
    assert (done.rows["tidegate.billing_events"], done.rows["tidegate.outbox"]) == (1, 1)
    assert (shop.scalar(left.format("billing_events")), shop.scalar(left.format("outbox"))) == (0, 0)
    assert keep(shop, "cus_gone") == Kept(0, 0, 0)


def test_amounts_are_minor_units_and_decimals_only_in_properties(shop: Shop) -> None:
    shop.has(customer("cus_dec"), subscription("sub_dec", customer="cus_dec"))
    shop.has(paid("in_dec", "cus_dec", [recurring("il_dec", 4900, subscription="sub_dec")]))
    keep(shop, "cus_dec")
    [(amount, tax, told_)] = shop.rows(
        "select amount, data -> 'recurring', data #>> '{properties,Subscription Billing Amount}' from billing_events "
        "where customer = 'cus_dec'"
    )
    assert (amount, tax, told_) == (4900, 4900, "49.00")


def test_pages_and_filters(shop: Shop) -> None:
    shop.has(customer("cus_page"), subscription("sub_page", customer="cus_page"))
    for n in range(3):
        at = {"effective_at": LATER + n}
        shop.has(
            paid(
                f"in_page_{n}",
                "cus_page",
                [recurring(f"il_{n}", 1000, subscription="sub_page"), once(f"x{n}", 5)],
                **at,
            )
        )
    keep(shop, "cus_page")
    wanted = Filter("acme", customer="cus_page")
    with shop.engine.connect() as db:
        found: list[str] = []
        after = ""
        while after is not None:
            page = events.page(db, wanted, after=after, limit=2)
            found += [one["id"] for one in page["events"]]
            after = page["next"]
        bought = events.page(db, Filter("acme", customer="cus_page", name="one-time purchase"))["events"]
        with pytest.raises(UsageError, match="There are Subscription Billed"):
            events.page(db, Filter("acme", name="Subscribed"))
        with pytest.raises(UsageError, match="no place in the list"):
            events.page(db, wanted, after="yesterday")
    assert found == [f"{what}:in_page_{n}:{rest}" for n in (2, 1, 0)
                     for what, rest in (("purchase", f"ii_x{n}"), ("billed", "sub_page:month"))]  # fmt: skip
    assert [one["id"] for one in bought] == [f"purchase:in_page_{n}:ii_x{n}" for n in (2, 1, 0)]


@pytest.mark.wide
def test_over_http_and_on_the_command_line(shop: Shop, shop_url: str, tmp_path: Path) -> None:
    shop.has(customer("cus_seen"), subscription("sub_seen", customer="cus_seen"))
    shop.has(paid("in_seen", "cus_seen", [recurring("il_seen", 4900, subscription="sub_seen"), once("seen", 500)]))
    keep(shop, "cus_seen")
    with shop.engine.begin() as db:
        key = directory.make(db, False, Making("account", "seen-inc"))
        db.execute(
            text("insert into links (connection, customer, contact, method) values ('acme', 'cus_seen', :k, 'manual')"),
            {"k": key},
        )
        tokens_of = {scope: tokens.create(db, scope, [scope])[1] for scope in ("read", "entitlements")}
    both = ["purchase:in_seen:ii_seen", "billed:in_seen:sub_seen:month"]

    with hubs.opened(shop_url, KEY) as hub, serving(create_app(hub, ring_drain=lambda _db, _name: None)) as url:

        def ask(scope: str = "read", **query: Any) -> httpx.Response:
            headers = {"Authorization": f"Bearer {tokens_of[scope]}"}
            return httpx.get(f"{url}/api/billing-events", params=query, headers=headers, timeout=30)

        first = ask(contact="seen-inc", limit=1, **{"from": "2033-01-01"}).json()
        rest = ask(contact="seen-inc", after=first["next"]).json()
        assert [one["id"] for one in first["events"] + rest["events"]] == both
        assert rest["next"] is None
        assert (first["events"][0]["amount"], first["events"][0]["contact"]) == (500, "account:seen-inc")
        assert ask(customer="cus_seen", to="2033-01-01").json()["events"] == []
        assert ask(name="Sold").status_code == 422
        assert ask("entitlements").status_code == 403

    cli = Cli(tmp_path, shop_url)
    found = cli.json("events", "--contact", "seen-inc", "--from", "2033-01-01", "--name", "subscription billed")
    assert [one["id"] for one in found["events"]] == both[1:]
    assert "49.00 USD" in cli("events", "--customer", "cus_seen").stdout
    lines = cli("events", "--customer", "cus_seen", "--csv").stdout.splitlines()
    assert lines[0].startswith("at,name,amount,currency,customer")
    assert lines[2].startswith("2033-05-18T03:33:20Z,Subscription Billed,4900,usd,cus_seen,account:seen-inc")


@pytest.fixture(scope="module")
def company(server_url: str) -> Iterator[Live]:
    """A company with its whole cast, imported, its ledger and events kept."""
    with (
        databases.scratch(server_url) as url,
        hubs.opened(url, KEY) as hub,
        Sandbox.start(SandboxConfig(customers=125, months=5)) as sandbox,
    ):
        live = Live(hub, sandbox)
        imported(hub, live.account)
        refreshed(live)
        yield live


def refreshed(live: Live) -> Kept:
    customers = [row["id"] for row in live.rows("select distinct customer as id from stripe.invoices")]
    with live.hub.engine.begin() as db:
        kept = ledger.begin(db, live.name)
        ledger.keep(db, kept, customers, live.now)
        return events.keep_events(db, kept, customers, live.now)


def recorded(live: Live, role: str) -> list[tuple[str, int | None]]:
    """Name and amount of each event of the customer who plays a part, by date."""
    ids = live.sandbox.call(
        lambda: [
            id_ for id_ in live.sandbox.state["customers"].ids
            if live.sandbox.state.full("customers", id_).get("_role") == role
        ]
    )  # fmt: skip
    rows = live.rows("select name, amount from billing_events where customer = any(:ids) order by at, id", ids=ids)
    return [(row["name"], row["amount"]) for row in rows]


@pytest.mark.wide
def test_a_company_s_failed_payments_are_told_by_its_events_alone(server_url: str) -> None:
    """No event says by which payment intent an invoice is tried; reading all lists again finds nothing to put right."""
    with (
        databases.scratch(server_url) as url,
        hubs.opened(url, KEY) as hub,
        Sandbox.start(SandboxConfig(customers=40, months=2)) as sandbox,
    ):
        live = Live(hub, sandbox)
        imported(hub, live.account)
        refreshing.refresh_changed(hub.engine, live.account)
        began = live.now
        for seconds in (*[10 * 86_400] * 4, 90):
            sandbox.advance(seconds)
            live.catch_up()
            refreshing.refresh_changed(hub.engine, live.account)
        found = live.rows(FAILED)
        imported(hub, live.account, full=True)
        refreshing.refresh_changed(hub.engine, live.account)
        swept = live.rows(FAILED)
        refused = live.one(REFUSED, at=began)
    assert swept == found
    assert sum(row["code"] != "no_charge" for row in found) == refused > 0


REFUSED = "select count(*) from stripe.charges where status = 'failed' and created > to_timestamp(:at)"
FAILED = """
select id, data ->> 'code' as code from billing_events where name = 'Payment Failed' and told order by at, id"""


@pytest.mark.wide
def test_every_invoice_of_a_company_adds_up(company: Live) -> None:
    """Billed + one-time + tax − balance and credits applied = payments."""
    rows = company.rows("""
select i.id, i.data, coalesce(sum(e.amount * case when e.name = 'Subscription Refunded' then -1 else 1 end), 0) as told
from stripe.invoices i
left join billing_events e on e.connection = i.connection and e.invoice = i.id
  and (e.id like 'billed:%' or e.id like 'purchase:%')
where i.status = 'paid' and i.test_clock is null group by i.id, i.data, i.connection""")
    assert len(rows) > 200
    wrong: list[tuple[str, int, int]] = []
    for row in rows:
        told_, body = row["told"], row["data"]
        tax = sum(one["amount"] for one in body["total_taxes"])
        applied = body["total"] - body["pre_payment_credit_notes_amount"] - body["amount_due"]
        if told_ + tax - applied != body["amount_paid"]:
            wrong.append((row["id"], told_ + tax - applied, body["amount_paid"]))
    assert wrong == []
    unpaid = company.one("""
select count(*) from billing_events e join stripe.invoices i on i.id = e.invoice
where i.status <> 'paid' and (e.id like 'billed:%' or e.id like 'purchase:%')""")
    assert unpaid == 0


@pytest.mark.wide
def test_doing_it_again_changes_nothing_and_anew_makes_the_same(company: Live) -> None:
    every = "select to_jsonb(e) - 'recorded_at' as event from billing_events e order by id"
    before = [json.dumps(row["event"]) for row in company.rows(every)]
    assert refreshed(company) == Kept(0, 0, 0)
    company.run("delete from billing_events")
    refreshed(company)
    assert [json.dumps(row["event"]) for row in company.rows(every)] == before
    told = company.rows("select data from outbox where type = 'billing_event.recorded'")
    assert [row["data"] for row in told] == [], "it is history"


@pytest.mark.parametrize(
    ("role", "names"),
    [
        pytest.param("incomplete_expired", ["Payment Failed"], id="no new, no churn"),
        pytest.param("credited_open", [], id="credited, not paid"),
        pytest.param("refund_failed", ["Subscription Billed"], id="a refund that failed before"),
        pytest.param("refunded_part", ["Subscription Billed", "Subscription Refunded"], id="refunded in part"),
        pytest.param("fee", ["Subscription Billed", "Subscription Billed", "One-Time Purchase"], id="a fee"),
        pytest.param("free", [], id="free"),
        pytest.param(
            "upgrading", ["Subscription Billed", "Subscription Upgraded", "Subscription Billed"], id="upgraded"
        ),
        pytest.param("churned", ["Subscription Billed", "Subscription Canceled"], id="canceled"),
        pytest.param(
            "left_credited",
            ["Subscription Billed", "Subscription Refunded", "Subscription Canceled"],
            id="a negative proration larger than the charge",
        ),
        pytest.param(
            "dispute_lost",
            ["Subscription Billed", "Subscription Canceled", "Subscription Refunded"],
            id="a dispute that was lost",
        ),
        pytest.param(
            "returned",
            [
                "Subscription Billed",
                "Subscription Canceled",
                "Subscription Billed",
                "Subscription Reactivated",
                "Subscription Billed",
            ],
            id="back again",
        ),
    ],
)
def test_what_is_told_of_whom(company: Live, role: str, names: list[str]) -> None:
    assert [name for name, _ in recorded(company, role)] == names


@pytest.mark.wide
def test_what_comes_after_the_connection_is_told(company: Live) -> None:
    company.sandbox.advance(4 * 86_400)
    company.catch_up()
    company.drain()
    kept = refreshed(company)
    assert kept.recorded > 5
    assert company.one("select count(*) from outbox where type = 'billing_event.recorded'") > 5
    test_every_invoice_of_a_company_adds_up(company)

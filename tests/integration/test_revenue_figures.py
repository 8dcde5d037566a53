"""The pages of revenue: retention, cohorts, trials, groups, renewals, quality, reconciling, policy, and why."""

import csv
import io
import re
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from html import unescape

import pytest
from httpx import Client
from sqlalchemy import text
from tests.support.importing import connected, imported
from tests.support.numbers import assert_counted
from tests.support.visiting import sign_in, visited

from tidegate.contacts import policy
from tidegate.money import shown
from tidegate.revenue import metrics, reports
from tidegate.revenue.source import Group
from tidegate.sandbox import Sandbox
from tidegate.web.settings.views_page import LISTS
from tidegate.wiring import Hub
from tidegate.workflows import refresh
from tidegate.workflows.revenue import data_quality as quality
from tidegate.workflows.revenue import ledger_policy

pytestmark = pytest.mark.further

PAGES = (
    "/revenue/retention",
    "/revenue/cohorts",
    "/revenue/cohorts?of=contacts&months=24",
    "/revenue/trials?months=24",
    "/revenue/trials/begun",
    "/revenue/trials/ended",
    "/revenue/trials/changed?before=-new",
    *(f"/revenue/groups?by={one}" for one in ("package", "product", "price", "interval", "country", "currency")),
    "/revenue/renewals?days=365",
    "/revenue/renewals/at-risk",
    "/revenue/quality",
    "/revenue/reconcile",
    "/revenue/policy",
    "/revenue/explain",
    "/calendar",
)


@pytest.fixture
def client(hub: Hub) -> Iterator[Client]:
    with visited(hub) as client:
        yield client


@pytest.fixture
def ledger(hub: Hub, make_sandbox: Callable[..., Sandbox]) -> str:
    """A connection with months of revenue, each of whose customers is a contact."""
    if found := hub.accounts():
        return found[0].name
    account = connected(hub, make_sandbox(customers=60, months=10))
    with hub.engine.begin() as db:
        policy.store(db, account.name, policy.checked({"create_missing": True}))
    imported(hub, account)
    refresh.refresh_all(hub.engine, account)
    return account.name


def test_without_a_ledger_each_page_says_what_to_do(client: Client) -> None:
    for page in PAGES:
        answer = client.get(page)
        assert answer.status_code == 200, page
        assert "tidegate connect" in answer.text, page


@pytest.mark.parametrize("page", PAGES)
def test_each_page_is_shown_and_its_links_lead_on(client: Client, ledger: str, page: str) -> None:
    answer = client.get(page)
    assert answer.status_code == 200
    main = answer.text.partition("<main")[2]
    links = {unescape(link) for link in re.findall(r'href="(/[^"]+)"', main)}
    for link in sorted(links)[:12]:
        assert client.get(link).status_code == 200, link
    assert "style=" not in main, "the policy of the page forbids it"
    assert ('id="views"' in main) is (page.partition("?")[0] in LISTS)


@pytest.mark.parametrize(
    "asked",
    ["cohorts?of=nothing", "retention?months=7", "groups?by=contact", "renewals?days=1", "quality?check=none"],
)
def test_what_there_is_not_is_said(client: Client, ledger: str, asked: str) -> None:
    answer = client.get(f"/revenue/{asked}")
    assert answer.status_code == 422


def test_the_figures_are_those_of_the_report(hub: Hub, client: Client, ledger: str) -> None:
    with hub.engine.connect() as db:
        report = reports.opened(db, ledger, datetime.now(UTC))
        rows = metrics.rows(db, report, reports.window(report, None, None))
        native = reports.opened(db, ledger, datetime.now(UTC), group=Group("price"))
        standing = reports.standing_rows(native, reports.standing(db, native, native.today))
    first = client.get("/revenue/groups").text
    currency = re.findall(r'aria-current="true" href="/revenue/groups\?[^"]*currency=(\w+)"', first)
    page = client.get(f"/revenue/retention?currency={currency[0]}").text
    for row in rows:
        if row["currency"] == currency[0] and row["arpa"]:
            assert shown(row["arpa"], currency[0]) in page
    grouped = client.get(f"/revenue/groups?by=price&currency={currency[0]}").text
    for row in standing:
        if row["currency"] == currency[0]:
            assert shown(row["mrr"], currency[0]) in grouped


@pytest.mark.parametrize(
    ("asked", "column"),
    [
        ("retention.csv?months=6", "gross_churn"),
        ("groups.csv?by=price", "arr"),
        ("groups.csv?by=currency", "mrr"),
        ("renewals.csv?days=365", "renews_at"),
        ("renewals/at-risk.csv", "reasons"),
        ("../calendar.csv", "month"),
    ],
)
def test_tables_are_exported(client: Client, ledger: str, asked: str, column: str) -> None:
    answer = client.get(f"/revenue/{asked}")
    assert answer.headers["content-type"].startswith("text/csv")
    rows = list(csv.DictReader(io.StringIO(answer.text)))
    assert rows
    assert all(row[column] is not None and row["currency"] for row in rows)
    assert all("." in row["mrr"] for row in rows if row["currency"] == "usd"), "amounts are in whole units"


def test_a_group_leads_to_its_own_movements(hub: Hub, client: Client, ledger: str) -> None:
    with hub.engine.connect() as db:
        price, currency = db.execute(
            text("select price, currency from tidegate.movements where kind = 'new' order by amount desc limit 1")
        ).one()
        theirs = db.scalars(
            text("""
select distinct customer from tidegate.movements m where price = :price and currency = :currency
  and superseded_at is null"""),
            {"price": price, "currency": currency},
        ).all()
    page = client.get(f"/revenue/movements?by=price&group={price}&currency={currency}").text
    subscriptions = set(re.findall(r"<code>(sub_\w+)</code>", page))
    with hub.engine.connect() as db:
        whose = db.scalars(
            text("select distinct customer from stripe.subscriptions where id = any(:ids)"), {"ids": [*subscriptions]}
        ).all()
    assert set(whose) <= set(theirs)
    assert subscriptions


def test_from_a_movement_to_the_steps_of_an_item(hub: Hub, client: Client, ledger: str) -> None:
    page = client.get("/revenue/movements").text
    [link, *_] = re.findall(r'href="(/revenue/explain\?contact=[^"]+)"', page)
    steps = client.get(unescape(link))
    assert steps.status_code == 200
    assert "a month" in steps.text
    item = link.partition("#")[2]
    assert f'id="{item}"' in steps.text or "canceled" in steps.text
    part = client.get(unescape(link), headers={"HX-Request": "true"}).text
    assert "<html" not in part
    wrong = client.get("/revenue/explain?contact=<nobody>")
    assert (wrong.status_code, 'id="whose-wrong"' in wrong.text, "&lt;nobody&gt;" in wrong.text) == (422, True, True)
    assert client.get("/revenue/explain?contact=cus_nobody").status_code == 422


def test_numbers_of_conversions_lead_to_whom_they_count(client: Client, ledger: str) -> None:
    page = client.get("/revenue/trials?months=24").text
    trials = assert_counted(client, page, "/revenue/trials/begun?")
    assert {re.findall(r"outcome=(\w+)", link)[0] for link in trials} >= {"trials", "converted", "ended"}
    reasons = assert_counted(client, page, "/revenue/trials/ended?")
    changes = assert_counted(client, page, "/revenue/trials/changed?")
    assert any("before=-new" in link for link in changes)
    for link, number in [*trials.items(), *reasons.items(), *changes.items()]:
        path, _, asked = link.partition("?")
        assert len([*csv.DictReader(io.StringIO(client.get(f"{path}.csv?{asked}").text))]) == number, link
    for of in ("trials", "reasons"):
        table = client.get(f"/revenue/trials.csv?of={of}&months=24").text
        body = page.partition(f'aria-labelledby="{of}"')[2].partition("<tbody>")[2].partition("</tbody>")[0]
        assert len([*csv.DictReader(io.StringIO(table))]) == body.count("<tr>") > 0
    assert "opening" in client.get("/revenue/trials.csv?of=changes").text
    everybody = client.get("/revenue/trials/ended.csv?from=2020-01-01&to=2100-01-01").text
    assert len([*csv.DictReader(io.StringIO(everybody))]) >= sum(reasons.values())


@pytest.mark.parametrize(
    "asked",
    ["begun?outcome=none", "begun?month=2026-13", "ended?from=yesterday", "changed?from=2026-02-01&to=2026-01-01"],
)
def test_what_of_conversions_there_is_not_is_said(client: Client, ledger: str, asked: str) -> None:
    path, _, query = asked.partition("?")
    assert client.get(f"/revenue/trials/{asked}").status_code == 422
    assert client.get(f"/revenue/trials/{path}.csv?{query}").status_code == 422


def test_what_makes_figures_doubtful_is_exported(hub: Hub, client: Client, ledger: str) -> None:
    found = data_quality(hub, ledger)
    rows = [*csv.DictReader(io.StringIO(client.get("/revenue/quality.csv").text))]
    assert [(one["check"], one["id"]) for one in rows] == found
    for check in {check for check, _ in found}:
        some = [*csv.DictReader(io.StringIO(client.get(f"/revenue/quality.csv?check={check}").text))]
        assert [(one["check"], one["id"]) for one in some] == [one for one in found if one[0] == check]
    assert client.get("/revenue/quality.csv?check=none").status_code == 422


def data_quality(hub: Hub, ledger: str) -> list[tuple[str, str]]:
    with hub.engine.connect() as db:
        told = quality.data_quality(db, hub.account(ledger), datetime.now(UTC))
    return [(one["check"], one["id"]) for one in told["objects"]]


@pytest.fixture
def renewing_twice(hub: Hub, ledger: str) -> Iterator[None]:
    """Of one contact two subscriptions, of two customers, renew in the same month, in the same currency."""
    with hub.engine.begin() as db:
        first, second = db.execute(
            text("""
select s.customer, min(s.id) as id, k.contact from stripe.subscriptions s join tidegate.links k using (customer)
where s.status = 'active' and s.currency = 'usd' and s.cancel_at is null and not s.cancel_at_period_end
group by 1, 3 order by 1 limit 2""")
        ).all()
        billed = dict(db.execute(_BILLED).all())  # pyright: ignore[reportArgumentType, reportUnknownArgumentType]
        later = {one.id: datetime.now(UTC) + timedelta(days=100) for one in (first, second)}
        db.execute(_BILL, [{"subscription": key, "at": at} for key, at in later.items()])
        db.execute(_GIVE, {"customer": second.customer, "to": first.contact})
    yield
    with hub.engine.begin() as db:
        db.execute(_BILL, [{"subscription": key, "at": billed[key]} for key in later])
        db.execute(_GIVE, {"customer": second.customer, "to": second.contact})


_BILLED = text("select subscription, max(billed_until) from stripe.subscription_items group by 1")
_BILL = text("update stripe.subscription_items set billed_until = :at where subscription = :subscription")
_GIVE = text("update tidegate.links set contact = :to where customer = :customer")


@pytest.mark.usefixtures("renewing_twice")
def test_months_of_the_calendar_lead_to_their_renewals(client: Client, ledger: str) -> None:
    page = client.get("/calendar").text
    found = assert_counted(client, page, "/revenue/renewals?")
    assert {"owner=" in link for link in found} == {True, False}
    contacts = {link: number for link, number in found.items() if "each=contact" in link}
    assert any(found[link.replace("&each=contact", "")] > number for link, number in contacts.items()), "renews twice"
    for link in (next(iter(found)), *contacts):
        rows = [*csv.DictReader(io.StringIO(client.get(link.replace("renewals?", "renewals.csv?")).text))]
        assert len(rows) == found[link]
        assert "each=" not in link or len({one["contact"] for one in rows}) == len(rows)
    assert client.get("/revenue/renewals?days=365&each=month").status_code == 422
    assert client.get("/revenue/renewals?days=365&month=soon").status_code == 422


def report_of(hub: Hub, ledger: str, more: int = 0) -> bytes:
    """Stripe's report as the ledger itself would write it, of this month; `more`: major units that one has on top."""
    with hub.engine.connect() as db:
        rows = db.execute(
            text("""
select customer, currency, round(sum(mrr) / 1e8, 2) as mrr from tidegate.spans
where connection = :connection and ends_at is null and currency in ('usd', 'eur') group by 1, 2 having sum(mrr) > 0
order by 1, 2"""),
            {"connection": ledger},
        ).all()
    month = f"{datetime.now(UTC):%Y-%m}"
    lines = [f"{row.customer},{month},{row.currency},{row.mrr + (more if not n else 0)}" for n, row in enumerate(rows)]
    return "\n".join(["Customer ID,Month,Currency,MRR", *lines]).encode()


def test_stripes_report_is_held_against_the_ledger(hub: Hub, client: Client, ledger: str) -> None:
    url = "/revenue/reconcile"
    answer = client.post(url, files={"report": ("mrr.csv", report_of(hub, ledger, more=7))}, data={"currency": ""})
    assert answer.status_code == 200
    assert "unexplained" in answer.text
    assert "7.00" in answer.text
    pasted = client.post(url, data={"pasted": report_of(hub, ledger).decode(), "currency": ""})
    assert pasted.status_code == 200
    assert "unexplained" not in pasted.text


@pytest.mark.parametrize(
    ("sent", "said"),
    [
        ({}, "Choose the file"),
        ({"pasted": "a,b\n1,2"}, "no column"),
        ({"pasted": "Customer ID,Month,MRR\ncus_1,2026-01,1"}, "names no currency"),
        ({"pasted": "Customer ID,Month,Currency,MRR\ntotal,2026-01,usd,1"}, "tells no MRR"),
        ({"pasted": "Customer ID,Month,Currency,MRR\ncus_1,2026-01,usd,<b>"}, "is no amount"),
    ],
)
def test_a_wrong_report_is_said_beside_its_field(client: Client, ledger: str, sent: dict[str, str], said: str) -> None:
    answer = client.post("/revenue/reconcile", data={"currency": "", **sent})
    assert answer.status_code == 422
    assert said in unescape(answer.text.partition('id="report-wrong"')[2])
    assert unescape(answer.text).count(sent.get("pasted", "")) >= 1, "what was typed stays"


def test_a_form_that_is_too_long_is_refused_and_other_pages_take_no_file(client: Client, ledger: str) -> None:
    assert client.post("/revenue/reconcile", files={"report": b"x" * 20_000_001}).status_code == 413
    assert client.post("/login", files={"token": b"x"}).status_code == 400


@pytest.mark.further
def test_another_policy_is_tried_and_adopted(hub: Hub, client: Client, ledger: str) -> None:
    assert "Try it" not in client.get("/revenue/policy").text, "whoever is at this machine only looks"
    with hub.engine.begin() as db:
        db.execute(text("truncate tidegate.tokens cascade"))
    sign_in(hub, client, "admin")
    account = hub.account(ledger)
    alone = {"preset": "default", "base_currency": "", "time_zone": "UTC"}
    sent = alone | {"set.trials": "count", "set.past_due": "30 days"}
    tried = client.post("/revenue/policy", data=sent)
    assert "What that would change" in tried.text
    assert ledger_policy.shown(hub.engine, account)["choices"] == {}, "nothing is stored"
    stale = client.post("/revenue/policy/adopt", data=sent | {"edition": "99"})
    assert (stale.status_code, "meanwhile" in stale.text) == (409, True)
    edition = str(ledger_policy.shown(hub.engine, account)["edition"])
    done = client.post("/revenue/policy/adopt", data=sent | {"edition": edition})
    assert (done.status_code, done.headers["location"]) == (303, "/revenue/policy")
    assert ledger_policy.shown(hub.engine, account)["choices"] == {"trials": "count", "past_due": "30 days"}
    edition = str(ledger_policy.shown(hub.engine, account)["edition"])
    assert client.post("/revenue/policy/adopt", data=alone | {"edition": edition}).status_code == 303
    assert ledger_policy.shown(hub.engine, account)["choices"] == {}, "what is not chosen is as the preset again"
    wrong = client.post("/revenue/policy", data=sent | {"set.past_due": "a <while"})
    assert (wrong.status_code, 'id="past_due-wrong"' in wrong.text, "a &lt;while" in wrong.text) == (422, True, True)
    zone = client.post("/revenue/policy", data=sent | {"time_zone": "Moon"})
    assert (zone.status_code, "no time zone" in zone.text) == (422, True)

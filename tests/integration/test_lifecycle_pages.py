"""The pages of the lifecycle: stages with who is in them, and alerts that people look after."""

import csv
import io
import re
from collections.abc import Callable, Iterator

import pytest
from httpx import Client
from sqlalchemy import text
from tests.support.importing import connected
from tests.support.placed import People
from tests.support.visiting import sign_in, visited

from tidegate.lifecycle import listing, system_alerts
from tidegate.lifecycle.rules import Rule
from tidegate.lifecycle.system_alerts import Fact
from tidegate.sandbox import Sandbox
from tidegate.wiring import Hub
from tidegate.workflows.report_readers import counted


@pytest.fixture
def people(hub: Hub, make_sandbox: Callable[..., Sandbox]) -> People:
    if not hub.accounts():
        connected(hub, make_sandbox(customers=1, months=1))
    with hub.engine.begin() as db:
        db.execute(text("truncate tidegate.contacts, tidegate.alerts, tidegate.users, tidegate.tokens cascade"))
    return People(hub)


@pytest.fixture
def client(hub: Hub, people: People) -> Iterator[Client]:
    with visited(hub) as client:
        yield client


def alerted(people: People) -> int:
    """A contact with an alert that is open; the alert's number."""
    key = people.add("acme", status="active", mrr_total=2_000)
    people.pass_()
    people.set(key, failed_attempts=1, failing_invoice="in_1")
    people.pass_()
    with people.hub.engine.connect() as db:
        return db.execute(text("select id from tidegate.alerts where rule = 'payment_failed'")).scalar_one()


def test_stages_and_segments_lead_to_their_contacts(people: People, client: Client) -> None:
    people.add("acme", status="active", mrr_total=2_000, mrr='{"usd": 200000000000}')
    people.pass_()
    page = client.get("/stages").text
    assert page.count("<div>2,000.00 USD</div>") == 3, "of the stage, of the segment and of its band of health"
    assert 'href="/contacts?stage=customer">1</a></td>' in page, "the number leads to who that is"
    for link in set(re.findall(r'href="(/contacts\?(?:stage|segment)=\w+)"', page)):
        assert client.get(link).status_code == 200


def test_nobody_is_in_a_segment_that_is_newer_than_the_kept_figures() -> None:
    [told] = counted([Rule("fresh", "Fresh", {"field": "mrr", "at_least": 1})], [])
    assert (told["contacts"], told["mrr"]) == (0, []), "as the page reads it"


def test_an_alert_is_looked_after(hub: Hub, people: People, client: Client) -> None:
    number = alerted(people)
    assert "acme" in client.get("/alerts").text
    assert f"/alerts/{number}/ack" not in client.get("/alerts").text, "whoever is at this machine only looks"
    assert client.post(f"/alerts/{number}/ack").headers["location"] == "/login"
    sign_in(hub, client)

    def moved(do: str, **sent: str) -> tuple[int, str]:
        status = client.post(f"/alerts/{number}/{do}", data=sent).status_code
        with hub.engine.connect() as db:
            row = db.execute(text("select state, changed_by from tidegate.alerts where id = :id"), {"id": number}).one()
        assert row.changed_by == "token:desk"
        return status, row.state

    assert moved("ack") == (303, "acknowledged")
    assert moved("snooze") == (422, "acknowledged"), "no days"
    assert moved("snooze", days="9999999999") == (422, "acknowledged")
    assert moved("snooze", days="7") == (303, "snoozed")
    assert moved("reopen") == (303, "open")
    assert moved("dismiss") == (422, "open"), "no reason"
    assert moved("note", note=" ") == (422, "open")
    for do, field in (("dismiss", "reason"), ("note", "note")):
        refused = client.post(f"/alerts/{number}/{do}", data={field: " "}).text
        assert re.search(rf'<details id="more-{number}" open>.*id="{field}-{number}-wrong"', refused, re.S), "beside it"
    assert moved("note", note="Ada <calls> on Monday") == (303, "open")
    assert moved("ack") == (303, "acknowledged")
    assert 'value="Ada &lt;calls&gt; on Monday"' in client.get("/alerts?state=acknowledged").text, "it stays"
    with people.hub.engine.begin() as db:
        db.execute(text("update tidegate.alerts set state = 'resolved' where id = :id"), {"id": number})
    for do, field in (("dismiss", "reason"), ("note", "note")):
        late = client.post(f"/alerts/{number}/{do}", data={field: "They <called>."})
        assert (late.status_code, "<q>They &lt;called&gt;.</q>" in late.text) == (422, True), "resolved meanwhile"
    with people.hub.engine.begin() as db:
        db.execute(text("update tidegate.alerts set state = 'open' where id = :id"), {"id": number})
    assert moved("dismiss", reason="They <called>.") == (303, "dismissed")
    assert "They &lt;called&gt;." in client.get("/alerts?state=dismissed").text
    assert client.post("/alerts/99999/ack", data={}).status_code == 404
    [row] = csv.DictReader(io.StringIO(client.get("/alerts.csv?state=dismissed").text))
    assert (row["id"], row["contact"], row["note"]) == (str(number), "account:acme", "They <called>.")
    assert client.get("/alerts.csv?state=open").text.count("\n") == 1
    assert "acme" in client.get("/alerts.csv?state=dismissed&contact=acme").text
    people.add("other")
    assert client.get("/alerts.csv?state=dismissed&contact=other").text.count("\n") == 1
    assert "acme" not in client.get("/alerts?state=dismissed&contact=other").text
    assert client.get("/alerts?contact=nobody").status_code == 404
    assert client.get("/alerts.csv?state=nothing").status_code == 422


def test_an_alert_of_the_hub_leads_to_what_it_is_about_and_is_looked_after(
    hub: Hub, people: People, client: Client
) -> None:
    with hub.engine.begin() as db:
        system_alerts.keep(db, [Fact("sync_rows_failed", "sync:a b", "3 rows failed.", "Mend them.")], people.now)
        number = listing.alerts(db, system=True)[0]["id"]
    page = client.get("/alerts").text
    assert 'href="/syncs/a%20b">sync:a b</a>' in page
    assert f"/alerts/{number}/ack" not in page, "whoever is at this machine only looks"
    sign_in(hub, client)
    assert f'action="/alerts/{number}/ack"' in client.get("/alerts").text
    assert client.post(f"/alerts/{number}/note", data={"note": "Bob mends it"}).status_code == 303
    assert client.post(f"/alerts/{number}/ack").status_code == 303
    page = client.get("/alerts").text
    assert "Bob mends it" in page.partition('aria-label="Alerts of contacts"')[0]
    assert f'action="/alerts/{number}/reopen"' in page


@pytest.mark.parametrize("asked", ["state=nothing", "rule=nothing", "after=x"])
def test_what_is_not_there_is_said(client: Client, asked: str) -> None:
    answer = client.get(f"/alerts?{asked}")
    assert (answer.status_code, "Nothing to look after" in answer.text) in {(422, False), (200, True)}

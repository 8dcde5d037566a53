"""The pages of settings: tokens, the audit log, schedules, retention, saved views."""

import csv
import io
import re
from collections.abc import Iterator
from functools import partial

import pytest
from httpx import Client
from sqlalchemy import text
from tests.support.numbers import assert_exported
from tests.support.receiver import Receiver
from tests.support.told import Told
from tests.support.visiting import sign_in, visited

from tidegate.catalog import features, journal
from tidegate.connections import accounts
from tidegate.connections.accounts import Credentials
from tidegate.contacts import changes
from tidegate.contacts.records import Record
from tidegate.lifecycle import routes
from tidegate.pricing.policy import SETTINGS
from tidegate.revenue.editions import Terms
from tidegate.security import audit_log, saved_views, tokens
from tidegate.web.revenue import policy
from tidegate.web.settings import views_page
from tidegate.web.wording import contact_page
from tidegate.wiring import Hub
from tidegate.workflows.contacts import contacts_edit, contacts_suppress
from tidegate.workflows.entitlements import entitlements
from tidegate.workflows.operation import audit_trail, users
from tidegate.workflows.operation.audit_trail import Wanted


@pytest.fixture
def admin(hub: Hub) -> Iterator[Client]:
    with hub.engine.begin() as db:
        db.execute(
            text("truncate tidegate.users, tidegate.tokens, tidegate.audit_log, tidegate.catalog_changes cascade")
        )
    with visited(hub) as client:
        sign_in(hub, client, "admin")
        yield client


def test_a_token_is_made_shown_once_used_and_revoked(hub: Hub, admin: Client) -> None:
    sent = {"name": "product", "scope-entitlements": "yes", "scope-revenue": "yes"}
    page = admin.post("/tokens", data=sent).text
    [token] = re.findall(r"tg_[\w-]{40,}", page)
    assert token not in admin.get("/tokens").text
    bearer = {"Authorization": f"Bearer {token}", "Cookie": ""}
    assert admin.get("/api/revenue/mrr", headers=bearer).status_code != 401
    [one] = [one for one in _tokens(hub) if one.name == "product"]
    assert one.scopes == ("entitlements", "revenue")
    assert admin.get("/tokens").text.count("never") == 0
    assert admin.post("/tokens/revoke", data={"id": one.id}).status_code == 303
    assert admin.get("/api/revenue/mrr", headers=bearer).status_code == 401
    assert admin.post("/tokens/revoke", data={"id": one.id}).status_code == 422
    with hub.engine.connect() as db:
        told = [(row["action"], row["actor"]) for row in audit_log.newest(db, 2)]
    assert told == [("token.revoked", "token:desk"), ("token.created", "token:desk")]


@pytest.mark.parametrize(
    ("sent", "beside"), [({"name": "", "scope-read": "yes"}, "name-wrong"), ({"name": "My <b>"}, "scopes-wrong")]
)
def test_what_is_wrong_with_a_token_is_said_beside_its_field(
    hub: Hub, admin: Client, sent: dict[str, str], beside: str
) -> None:
    answer = admin.post("/tokens", data=sent)
    assert answer.status_code == 422
    assert f'id="{beside}"' in answer.text
    assert "checked" in answer.text or "My &lt;b&gt;" in answer.text, "what was said stays"
    assert len(_tokens(hub)) == 1


def test_two_tokens_that_work_never_share_a_name(hub: Hub, admin: Client) -> None:
    """What is done with a token is written down by its name, and its views are kept by it."""
    sent = {"name": "twin", "scope-read": "yes"}
    assert admin.post("/tokens", data=sent).status_code == 200
    again = admin.post("/tokens", data=sent | {"name": " twin "})
    assert again.status_code == 422
    assert "There is a token of this name" in again.text or "there is a token of this name" in again.text
    [one] = [one for one in _tokens(hub) if one.name == "twin"]
    admin.post("/tokens/revoke", data={"id": one.id})
    assert admin.post("/tokens", data=sent).status_code == 200


def _tokens(hub: Hub) -> list[tokens.Token]:
    with hub.engine.connect() as db:
        return tokens.listing(db)


def noted(hub: Hub, number: int) -> None:
    for n in range(number):
        with hub.engine.begin() as db:
            audit_log.record(db, "user:ada@acme.example", "user.role", f"=u{n}@acme.example", before="viewer")
            journal.note(db, "token:ci", "package.published", f"pro-{n}", version=n)


def test_the_audit_log_is_of_all_logs_narrowed_down_and_paged(hub: Hub, admin: Client) -> None:
    noted(hub, 60)
    page = admin.get("/audit-log").text
    assert page.count("<tr>") == 51
    seen = re.findall(r"pro-\d+|u\d+@", page)
    for _ in range(2):
        [older] = re.findall(r'rel="next" href="([^"]+)"', page)
        page = admin.get(older.replace("&amp;", "&")).text
        seen += re.findall(r"pro-\d+|u\d+@", page)
    assert 'rel="next"' not in page
    assert len(set(seen)) == 120
    assert "package.published" not in admin.get("/audit-log?action=ROLE").text
    assert admin.get("/audit-log?log=catalog&subject=pro-59").text.count("<tr>") == 2
    assert "Nothing of that kind" in admin.get("/audit-log?actor=nobody").text
    assert admin.get("/audit-log?after=x").status_code == 422


def test_the_audit_log_as_csv(hub: Hub, admin: Client) -> None:
    noted(hub, 2)
    answer = admin.get("/audit-log.csv?actor=ada")
    assert answer.headers["content-type"].startswith("text/csv")
    rows = list(csv.DictReader(io.StringIO(answer.text)))
    assert [row["subject"] for row in rows] == ["'=u1@acme.example", "'=u0@acme.example"], "no formula"
    assert rows[0]["detail"] == '{"before": "viewer"}'


def test_changes_are_read_by_pages_and_each_once(hub: Hub, admin: Client) -> None:
    noted(hub, 7)
    with hub.engine.connect() as db:
        every = [(row["log"], row["id"]) for row in audit_trail.every(db, Wanted())]
        rows, after = audit_trail.page(db, Wanted(), limit=3)
        while after:
            more, after = audit_trail.page(db, Wanted(), after=after, limit=3)
            rows += more
    assert [(row["log"], row["id"]) for row in rows] == every
    assert len(set(every)) == 14


def test_no_change_is_left_out_whatever_the_order_of_times_and_ids(hub: Hub, admin: Client) -> None:
    """A row whose id is smaller may be the later one: it was begun first, and ended last."""
    noted(hub, 6)
    with hub.engine.begin() as db:
        db.execute(text("update tidegate.audit_log set at = at - 2 * (at - (select min(at) from tidegate.audit_log))"))
        expected = {row["id"] for row in audit_log.newest(db, 100)}
        seen: list[int] = []
        rows, after = audit_trail.page(db, Wanted(log="access"), limit=2)
        seen += [row["id"] for row in rows]
        while after:
            rows, after = audit_trail.page(db, Wanted(log="access"), after=after, limit=2)
            seen += [row["id"] for row in rows]
    assert len(seen) == len(set(seen))
    assert set(seen) == expected


def test_lists_of_settings_are_exported(hub: Hub, admin: Client) -> None:
    connected(hub)
    users.invite(hub.engine, "ada@acme.example", "Ada", "viewer", "cli:test")
    assert_exported(admin, "/tokens")
    assert_exported(admin, "/users", within="everybody")
    assert_exported(admin, "/schedules")
    assert_exported(admin, "/retention", within="goes")
    assert "password" not in admin.get("/users.csv").text


def connected(hub: Hub) -> None:
    with hub.engine.begin() as db:
        db.execute(text("truncate tidegate.connections cascade"))
        values = {"name": "acme", "account": "acct_1", "livemode": False, "rate": 25, "endpoint_rate": 25}
        accounts.save(db, values, Credentials("sk_test_1", "", ()), hub.vault)


def test_what_runs_when_is_told(hub: Hub, admin: Client) -> None:
    connected(hub)
    page = admin.get("/schedules").text
    assert "No worker is alive" in page
    for said in ("Catch-up", "nightly at 3:00", "acme", "not yet"):
        assert said in page


def test_everything_that_goes_by_itself_is_told_with_its_setting(hub: Hub, admin: Client) -> None:
    page = admin.get("/retention").text
    for name, days in hub.settings.retention.items():
        assert re.search(rf">{days}</td><td><code>TIDEGATE_RETENTION_{name.upper()}_DAYS<", page)


def test_a_view_is_saved_chosen_and_deleted(hub: Hub, admin: Client) -> None:
    connected(hub)
    sent = {"page": "/contacts", "name": "Big <ones>", "query": "search=a%26b&page=3&sort=mrr", "shared": "yes"}
    assert admin.post("/views", data=sent).headers["location"] == "/contacts?search=a%26b&sort=mrr"
    assert admin.post("/views", data=sent | {"query": "search=b"}).headers["location"] == "/contacts?search=b"
    page = admin.get("/contacts").text
    assert page.count("Big &lt;ones&gt;</a>") == 1
    assert 'href="/contacts?search=b"' in page
    assert "Big" not in admin.get("/alerts").text, "it is of another list"
    [number] = re.findall(r'name="id" value="(\d+)"', page)
    assert admin.post("/views/delete", data={"id": number}).status_code == 303
    assert admin.post("/views/delete", data={"id": number}).status_code == 404
    assert "Big" not in admin.get("/contacts").text


@pytest.mark.parametrize(
    "wrong", [{"name": " "}, {"name": "x" * 81}, {"page": "//evil.example"}, {"query": "a=" + "b" * 2000}]
)
def test_what_can_be_no_view_is_refused(admin: Client, wrong: dict[str, str]) -> None:
    assert admin.post("/views", data={"page": "/contacts", "name": "Mine", "query": ""} | wrong).status_code == 422


def test_what_is_wrong_with_a_view_is_said_beside_its_name(admin: Client) -> None:
    sent = {"page": "/contacts", "name": "x" * 81, "query": "search=a%26b&page=2", "shared": "yes"}
    page = admin.post("/views", data=sent).text
    assert 'id="name-wrong"' in page
    assert f'value="{"x" * 81}"' in page, "what was typed stays"
    assert 'value="search=a%26b&amp;page=2"' in page
    assert 'name="shared" value="yes" checked' in page
    assert 'href="/contacts?search=a%26b"' in page


def test_a_view_of_ones_own_is_seen_by_nobody_else_and_shared_by_who_may(hub: Hub, admin: Client) -> None:
    with hub.engine.begin() as db:
        mine = saved_views.save(db, "user:ada@acme.example", "/alerts", "Ada's", "", shared=False)
        saved_views.save(db, "user:ada@acme.example", "/alerts", "Ours", "state=open", shared=True)
    page = admin.get("/alerts").text
    assert "Ours" in page
    assert "Ada&#39;s" not in page
    sign_in(hub, admin, "read")
    with hub.engine.begin() as db:
        db.execute(text("delete from tidegate.tokens where scopes <> '{read}'"))
    assert admin.post("/views/delete", data={"id": mine.id}).status_code == 404
    admin.post("/views", data={"page": "/alerts", "name": "Viewer's", "query": "", "shared": "yes"})
    with hub.engine.connect() as db:
        assert not [
            one for one in saved_views.of_page(db, "token:desk", "/alerts") if one.name == "Viewer's" and one.shared
        ]


def test_lists_can_be_saved_as_they_are_narrowed_down(hub: Hub, admin: Client) -> None:
    connected(hub)
    for one in sorted(views_page.LISTS):
        assert admin.post("/views", data={"page": one, "name": "Mine", "query": "a=1&after=9"}).status_code == 303, one
        if not one.startswith(("/revenue", "/calendar")):  # which have no list without a ledger
            assert f'href="{one}?a=1"' in admin.get(one).text, one
    with hub.engine.begin() as db:
        db.execute(text("truncate tidegate.saved_views"))


def test_a_policy_is_told_setting_by_setting_with_who_chose_it(hub: Hub, admin: Client) -> None:
    connected(hub)
    page = admin.get("/revenue/policy").text
    assert page.count('<td class="text-nowrap"><code>') == len(SETTINGS)
    terms = Terms("stripe", {"trials": "count"}, "", "").checked()
    by = {one.name: one.by for one in policy.chosen(terms)}
    assert by["trials"] == "you"
    assert set(terms.policy.assumed) == {name for name, who in by.items() if who == "open"}


def test_a_digest_is_asked_for_changed_sent_and_removed(hub: Hub, admin: Client, receiver: Receiver) -> None:
    told = Told(hub, receiver)
    told.destination("ops")
    wrong = admin.post("/digests", data={"owner": "", "every": "daily", "destination": ""})
    assert (wrong.status_code, 'id="destination-wrong"' in wrong.text) == (422, True)
    for said, field in (
        ({"every": "hourly"}, "every"),
        ({"owner": "zoe"}, "owner"),
        ({"destination": "gone"}, "destination"),
    ):
        wrong = admin.post("/digests", data={"owner": "", "every": "daily", "destination": "ops", field: said})
        assert (wrong.status_code, f'id="{field}-wrong"' in wrong.text) == (422, True), said
    assert admin.post("/digests/send", data={"owner": ""}).status_code == 422, "nobody is sent one"
    assert admin.post("/digests", data={"owner": "", "every": "daily", "destination": "ops"}).status_code == 303
    assert admin.post("/digests", data={"owner": "", "every": "weekly", "destination": "ops"}).status_code == 303
    assert "Mondays" in admin.get("/digests").text
    assert admin.post("/digests/send", data={"owner": ""}).status_code == 303
    assert [kind for _, kind, _ in told.received()] == ["digest.made"]
    assert admin.post("/digests", data={"owner": "", "every": "", "destination": "ops"}).status_code == 303
    assert "Nobody asked for one" in admin.get("/digests").text
    with hub.engine.begin() as db:
        assert routes.load(db).destination == "ops", "alerts go on going there"
        db.execute(text("truncate tidegate.digests, tidegate.alert_route, tidegate.destinations cascade"))


def test_the_next_digest_is_shown_and_nothing_is_sent(hub: Hub, admin: Client) -> None:
    assert "Nobody asked for one" in admin.get("/digests").text
    assert "Nothing was sent" in admin.get("/digests?every=weekly").text
    assert admin.get("/digests?every=daily&owner=nobody").status_code == 404
    with hub.engine.connect() as db:
        assert db.scalar(text("select count(*) from tidegate.digests")) == 0


def test_changes_of_contacts_tell_what_and_no_words_about_anybody(hub: Hub, admin: Client) -> None:
    put = partial(contacts_edit.put, hub.engine, False, by="user:ada", connection=None)
    acme, eve = (put(Record(*one))[0].ref for one in (("account", "audited"), ("user", "eve")))
    contacts_edit.change(hub.engine, False, acme, {"name": "Audited Ltd", "emails": ["zoe@corp.example"]}, "user:ada")
    contacts_edit.member(hub.engine, False, acme, eve, "user:ada", role="owner")
    with hub.engine.begin() as db:
        contacts_suppress.suppress(db, False, acme, "Zoe asked us to", "user:ada")
        changes.note(db, "settings", "user:ada", what={"connection": "acme", "settings": {"create_missing": True}})
        found = audit_trail.page(db, Wanted(actor="user:ada", log="contacts"))[0]
    told = {row["action"]: (row["subject"], row["detail"]) for row in found if row["action"] != "make"}
    assert told["settings"] == ("acme", {"connection": "acme", "settings": {"create_missing": True}})
    assert told["update"][0] == acme
    assert {"emails", "name"} <= set(told["update"][1]["fields"])
    assert told["suppress"] == (acme, {})
    assert told["join"] == (acme, {"account": acme, "user": eve})
    page = admin.get("/audit-log?log=contacts").text
    assert f'href="{contact_page(acme)}"' in page
    assert "zoe@" not in page
    assert "Zoe" not in page


def test_overrides_are_told_as_they_are_given_and_revoked(hub: Hub, admin: Client) -> None:
    ref = contacts_edit.put(hub.engine, False, Record("account", "gifted"), "user:ada", connection=None)[0].ref
    with hub.engine.begin() as db:
        features.define(db, "sso", "boolean")
    gift = {"by": "user:ada", "feature": "sso", "reason": "for Zoe"}
    numbers = [entitlements.give(hub.engine, False, ref, **gift)["id"] for _ in range(2)]
    entitlements.revoke(hub.engine, False, numbers[0], "token:desk")
    wanted = Wanted(log="overrides", subject="gifted")
    with hub.engine.connect() as db:
        whole = list(audit_trail.every(db, wanted))
        first, after = audit_trail.page(db, wanted, limit=2)
        rest, end = audit_trail.page(db, wanted, after=after, limit=2)
    assert [(row["action"], row["actor"], row["detail"]["override"]) for row in whole] == [
        ("override.revoked", "token:desk", numbers[0]),
        ("override.given", "user:ada", numbers[1]),
        ("override.given", "user:ada", numbers[0]),
    ]
    assert (first + rest, end) == (whole, "")
    page = admin.get("/audit-log?log=overrides").text
    assert "feature sso" in page
    assert "Zoe" not in page

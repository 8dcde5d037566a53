"""The pages on which the lifecycle is set: stages, segments, alert rules, health, actions; what is wrong is beside."""

import csv
import html
import io
import re
from collections.abc import Callable, Iterator
from datetime import UTC, datetime

import pytest
from httpx import Client
from sqlalchemy import text
from tests.support.acting import Acting
from tests.support.importing import connected
from tests.support.numbers import assert_counted, assert_exported
from tests.support.visiting import sign_in, visited

from tidegate.lifecycle import rulebook
from tidegate.lifecycle.rules import SEGMENTS, STAGES
from tidegate.sandbox import Sandbox
from tidegate.wiring import Hub
from tidegate.workflows.lifecycle import lifecycle_settings

pytestmark = pytest.mark.further

NAMING = "on: payment_failed\nwhen: {field: stage, is: custmer}"


@pytest.fixture
def people(hub: Hub, make_sandbox: Callable[..., Sandbox]) -> Acting:
    if not hub.accounts():
        connected(hub, make_sandbox(customers=1, months=1))
    with hub.engine.begin() as db:
        db.execute(text("truncate tidegate.contacts, tidegate.users, tidegate.tokens cascade"))
    people = Acting(hub)
    for name, status, mrr in (("acme", "active", 2_000), ("beta", "active", 300), ("tom", "trialing", 0)):
        people.add(name, status=status, mrr_total=mrr, mrr=f'{{"usd": {mrr * 100_000_000}}}')
    people.pass_()
    return people


@pytest.fixture
def looker(hub: Hub, people: Acting) -> Iterator[Client]:
    with visited(hub) as client:
        yield client


@pytest.fixture
def client(hub: Hub, looker: Client) -> Client:
    sign_in(hub, looker, "admin")
    return looker


def form_of(page: str, action: str) -> dict[str, str]:
    """What a browser would send of the first form to this address: fields with their values."""
    [body] = re.findall(rf'<form[^>]*action="{re.escape(action)}"[^>]*>(.*?)</form>', page, re.S)[:1]
    sent: dict[str, str] = {}
    for tag in re.findall(r"<input[^>]*>", body):
        told = {name: html.unescape(value) for name, value in re.findall(r'([\w-]+)="([^"]*)"', tag)}
        if told.get("type") != "checkbox" or re.search(r"\bchecked\b", tag):
            sent[told["name"]] = told.get("value", "on")
    for name, value in re.findall(r'<textarea[^>]*name="([^"]+)"[^>]*>(.*?)</textarea>', body, re.S):
        sent[name] = html.unescape(value)
    return sent


# ── stages ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_stages_are_changed_after_who_moves_was_shown(hub: Hub, people: Acting, client: Client) -> None:
    sent = form_of(client.get("/stages/edit").text, "/stages/edit")
    assert [sent[f"key.{n}"] for n in range(len(STAGES))] == [one.key for one in STAGES]
    new = len(STAGES)
    sent |= {
        f"place.{new}": "0.5",
        f"key.{new}": "whale",
        f"name.{new}": "Wh<ale",
        f"when.{new}": "{field: mrr, at_least: 1000}",
    }
    shown = client.post("/stages/edit", data=sent)
    assert shown.status_code == 200
    assert "1 contact moves" in shown.text
    assert "account:acme" in shown.text
    assert "Wh&lt;ale" in shown.text
    with hub.engine.connect() as db:
        assert not rulebook.written(db, "stages"), "a preview stores nothing"
    done = client.post("/stages/edit", data=form_of(shown.text, "/stages/edit"))
    assert (done.status_code, done.headers["location"]) == (303, "/stages")
    assert people.rows("select stage from tidegate.contact_lifecycle where mrr_total = 2000") == [("whale",)]
    with hub.engine.connect() as db:
        assert rulebook.written(db, "stages")[0].key == "whale"


def test_a_preview_that_is_stale_saves_nothing(hub: Hub, people: Acting, client: Client) -> None:
    sent = form_of(client.get("/stages/edit?preset=journy").text, "/stages/edit")
    shown = form_of(client.post("/stages/edit", data=sent).text, "/stages/edit")
    people.add("late", status="canceled", customer_since=people.now)
    people.pass_()
    again = client.post("/stages/edit", data=shown)
    assert again.status_code == 409
    assert "what would happen now" in again.text
    with hub.engine.connect() as db:
        assert not rulebook.written(db, "stages")


@pytest.mark.parametrize(
    ("typed", "beside", "said"),
    [
        ({"when.1": "{field: mmr, above: 1}"}, "when-1-wrong", "perhaps mrr"),
        ({"when.1": "{field: mrr"}, "when-1-wrong", "line 1"),
        ({"when.1": "{field: stage, is: trial}"}, "when-1-wrong", "cannot ask for stage"),
        ({"when.1": "{field: packages, has: pro}"}, "when-1-wrong", "there is no package"),
        ({"key.2": "a b"}, "key-2-wrong", "letters, digits"),
        ({"key.2": "customer"}, "key-2-wrong", "two stages"),
        ({"when.1": ""}, "alert", "exactly one stage"),
        ({"when.5": "{field: mrr, above: 1}"}, "alert", "exactly one stage"),
    ],
)
def test_a_wrong_stage_is_said_beside_its_field(client: Client, typed: dict[str, str], beside: str, said: str) -> None:
    sent = form_of(client.get("/stages/edit").text, "/stages/edit") | typed
    answer = client.post("/stages/edit", data=sent)
    assert answer.status_code == 422
    assert re.search(rf'(id="{beside}"|role="{beside}")[^>]*>[^<]*(<code>)?[^<]*{re.escape(said)}', answer.text), said
    for value in typed.values():
        assert html.escape(value) in answer.text, "what was typed stays"


# ── segments ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_segment_is_written_looked_at_and_removed(hub: Hub, people: Acting, client: Client) -> None:
    page = client.get("/segments").text
    for one in SEGMENTS:
        assert f'href="/segments/edit?key={one.key}"' in page
    who = client.post("/segments/who", data={"when": "{field: mrr, at_least: 200}"}).text
    assert "2 contacts" in who
    assert "2,300.00 USD" in who
    assert who.index("account:acme") < who.index("account:beta"), "those that pay most first"
    assert "perhaps mrr" in client.post("/segments/who", data={"when": "{field: mmr, above: 1}"}).text
    sent = {"was": "", "key": "whales", "name": "Whales", "when": "{field: mrr, at_least: 1000}"}
    shown = client.post("/segments/edit", data=sent)
    assert "1 comes into the segment" in shown.text
    assert client.post("/segments/edit", data=form_of(shown.text, "/segments/edit")).status_code == 303
    assert people.rows("select count(*) from tidegate.contact_lifecycle where 'whales' = any(segments)") == [(1,)]
    assert "account:acme" in client.get("/contacts?segment=whales").text
    going = client.post("/segments/edit", data={"was": "whales", "do": "remove"})
    assert "1 leaves the segment" in going.text
    assert client.post("/segments/edit", data=form_of(going.text, "/segments/edit")).status_code == 303
    assert "whales" not in client.get("/segments").text
    assert client.get("/segments/edit?key=whales").status_code == 404


@pytest.mark.parametrize(
    ("typed", "beside", "said"),
    [
        ({"key": "growth"}, "key-wrong", "already"),
        ({"key": ""}, "key-wrong", "letters"),
        ({"when": ""}, "key-wrong", "needs"),
        ({"when": "all: ["}, "when-wrong", "line 1"),
        ({"when": "{field: mrr, is: lots}"}, "when-wrong", "with a number"),
        ({"when": "{field: packages, has: pro}"}, "when-wrong", "there is no package"),
    ],
)
def test_a_wrong_segment_is_said_beside_its_field(
    client: Client, typed: dict[str, str], beside: str, said: str
) -> None:
    sent = {"was": "", "key": "mine", "name": "", "when": "{field: mrr, above: 1}"} | typed
    answer = client.post("/segments/edit", data=sent)
    assert answer.status_code == 422
    assert re.search(rf'id="{beside}">[^/]*{re.escape(said)}', answer.text), said


# ── alert rules ──────────────────────────────────────────────────────────────────────────────────────────────────────


def test_alert_rules_are_set_after_what_they_do_was_shown(hub: Hub, people: Acting, client: Client) -> None:
    key = people.add("late", status="active", mrr_total=10)
    people.set(key, failed_attempts=1, failing_invoice="in_1")
    people.pass_()
    sent = form_of(client.get("/alerts/rules").text, "/alerts/rules")
    del sent["enabled.payment_failed"]
    sent["days.canceled"] = "14"
    shown = client.post("/alerts/rules", data=sent)
    assert "1 alert is resolved: Payment failed" in shown.text
    assert client.post("/alerts/rules", data=form_of(shown.text, "/alerts/rules")).status_code == 303
    with hub.engine.connect() as db:
        assert rulebook.settings(db, "alerts") == [
            {"rule": "payment_failed", "enabled": False},
            {"rule": "canceled", "days": 14},
        ]
    assert_exported(client, "/alerts/rules")
    told = {one["rule"]: one for one in csv.DictReader(io.StringIO(client.get("/alerts/rules.csv").text))}
    assert (told["payment_failed"]["enabled"], told["canceled"]["days"]) == ("False", "14")
    again = form_of(client.get("/alerts/rules").text, "/alerts/rules")
    assert again["days.canceled"] == "14"
    assert "enabled.payment_failed" not in again
    wrong = client.post("/alerts/rules", data=again | {"days.canceled": "so<on"})
    assert (wrong.status_code, 'id="days-canceled-wrong"' in wrong.text, "so&lt;on" in wrong.text) == (422, True, True)


# ── health ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_health_is_set_with_how_all_would_be_spread(hub: Hub, people: Acting, client: Client) -> None:
    sent = form_of(client.get("/health").text, "/health")
    assert sent["weight.0"] == "30"
    spread = client.post("/health/spread", data=sent).text
    numbers = re.findall(r'<td class="number">(\d+)</td><td class="number (?:fw-bold)?">(\d+)</td>', spread)
    assert all(before == after for before, after in numbers)
    assert sum(int(after) for _, after in numbers[:4]) == 3
    place = next(n for n in range(9) if sent[f"key.{n}"] == "revenue_tier")
    sent |= {"coverage": "0.05", f"curve.{place}": "0: 0, 1000: 100", f"weight.{place}": "50"}
    assert "fw-bold" in client.post("/health/spread", data=sent).text
    shown = client.post("/health", data=sent)
    assert "another health" in shown.text
    assert client.post("/health", data=form_of(shown.text, "/health")).status_code == 303
    with hub.engine.connect() as db:
        said = rulebook.settings(db, "health")
        assert said == {
            "coverage": 0.05,
            "components": [{"key": "revenue_tier", "field": "mrr", "curve": [[0, 0], [1000, 100]], "weight": 50}],
        }
        assert lifecycle_settings.shown(db)["health"]["coverage"] == 0.05
    assert people.rows("select round(health) from tidegate.contact_lifecycle where mrr_total = 2000") == [(100,)]


@pytest.mark.parametrize(
    ("typed", "beside", "said"),
    [
        ({"weight.1": "many"}, "weight.1-wrong", "number"),
        ({"curve.2": "1: 2, 0: 3"}, "curve.2-wrong", "values rising"),
        ({"field.0": "emial"}, "field.0-wrong", "no field"),
        ({"coverage": "7"}, "coverage-wrong", "at most 1"),
        ({"key.6": "payment", "field.6": "mrr", "curve.6": "0: 1", "weight.6": "1"}, "key.6-wrong", "key of its own"),
    ],
)
def test_wrong_health_is_said_beside_its_field(client: Client, typed: dict[str, str], beside: str, said: str) -> None:
    sent = form_of(client.get("/health").text, "/health") | {"field.0": "mrr"} | typed
    answer = client.post("/health", data=sent)
    assert answer.status_code == 422
    assert re.search(rf'id="{re.escape(beside)}">[^/]*{re.escape(said)}', answer.text), said
    assert said.split()[-1] in client.post("/health/spread", data=sent).text


def test_previews_are_of_live_or_of_test_contacts_as_lists_are(hub: Hub, people: Acting, client: Client) -> None:
    with hub.engine.begin() as db:
        db.execute(text("update tidegate.contacts set livemode = true where external_id = 'acme'"))
    who = client.post("/segments/who", data={"when": "{field: mrr, at_least: 200}"}).text
    assert ("1 contact<" in who, "300.00 USD" in who, "acme" in who) == (True, True, False)
    spread = client.post("/health/spread", data={}).text
    numbers = re.findall(r'<td class="number">(\d+)</td><td class="number (?:fw-bold)?">(\d+)</td>', spread)
    assert sum(int(before) for before, _ in numbers[:4]) == 2


# ── actions ──────────────────────────────────────────────────────────────────────────────────────────────────────────

SPEC = """
name: Won <one>
on: {enters_stage: customer}
do:
  - {destination: log, template: "{{ contact.id }} is a customer."}
goal: {reach: not_churned, within_days: 30}
hold_out: 0.1
"""


def test_an_action_is_written_tried_and_switched(hub: Hub, people: Acting, client: Client) -> None:
    assert "No action yet" in client.get("/actions").text
    offered = client.get("/actions/~new?from=payment-failed").text
    assert "on: payment_failed" in offered
    sent = {"was": "", "key": "won", "spec": SPEC, "period": ""}
    tried = client.post("/actions", data=sent | {"do": "try"}).text
    assert "It would have fired" in tried
    assert "No action yet" in client.get("/actions").text, "a dry run stores nothing"
    assert client.post("/actions", data=sent | {"do": "save"}).headers["location"] == "/actions/won"
    page = client.get("/actions/won").text
    assert "Won &lt;one&gt;" in page
    assert "not_churned" in page
    assert client.post("/actions/won/enable").status_code == 303
    assert ">on</span>" in client.get("/actions").text
    assert "It would have fired" in client.get("/actions/won?period=2026-03").text
    wrong = client.get("/actions/won?period=soon")
    assert (wrong.status_code, 'id="period-wrong"' in wrong.text) == (422, True)
    with hub.engine.begin() as db:
        for number, state in enumerate(("fired", "fired", "held_out", "failed", "passed")):
            db.execute(
                text("""
insert into tidegate.action_occurrences (action, contact, occurrence, at, decided_at, state, why, reasons, what)
select 'won', key, :occurrence, now(), now(), :state, '', '[]', '{}' from tidegate.contacts limit 1"""),
                {"occurrence": f"o{number}", "state": state},
            )
    for page in ("/actions", "/actions/won"):
        counted = assert_counted(client, client.get(page).text, "/actions/won?state=", within="fired")
        assert sorted(counted.values()) == [1, 1, 2], "fired, held out and failed"
    assert_exported(client, "/actions")
    assert len(client.get("/actions/won/fired.csv").text.splitlines()) == 6
    assert len(client.get("/actions/won/fired.csv?state=fired").text.splitlines()) == 3
    assert client.get("/actions/won?state=lost").status_code == 422
    assert_goals_lead(hub, client)
    again = form_of(client.get("/actions/won/edit").text, "/actions")
    assert "enabled" in again
    assert client.post("/actions", data=again | {"do": "save"}).status_code == 303
    assert client.post("/actions/won/disable").status_code == 303
    taken = client.post("/actions", data=sent | {"do": "save"})
    assert (taken.status_code, "already" in taken.text) == (422, True)
    assert client.post("/actions/won/remove").status_code == 303
    assert client.get("/actions/won").status_code == 404


def assert_goals_lead(hub: Hub, client: Client) -> None:
    """The numbers of a goal lead to the contacts that they count, each once."""
    with hub.engine.begin() as db:
        db.execute(
            text("""
insert into tidegate.action_occurrences
  (action, contact, occurrence, at, decided_at, state, why, reasons, what, goal, goal_by, goal_of)
select 'won', k.key, n.said, now() - n.ago, now() - n.ago,
  case k.external_id when 'tom' then 'held_out' else 'fired' end, '', '[]', '{}',
  case k.external_id when 'beta' then 'missed' else 'reached' end, now() - n.ago + interval '30 days',
  jsonb_build_object('goal', jsonb_build_object('reach', 'not_churned', 'within_days', 30))
from tidegate.contacts k, (values ('first', interval '40 days'), ('later', interval '3 days')) n (said, ago)
where k.external_id <> 'acme' or n.said = 'later' order by n.ago desc""")
        )
    page = client.get("/actions/won").text
    counted = assert_counted(client, page, "/actions/won?group=", within="fired")
    told = [(link.partition("group=")[2].partition("#")[0], number) for link, number in counted.items()]
    assert told == [
        ("fired&counted=contacts", 2),
        ("fired&counted=measured", 1),
        ("held_out&counted=contacts", 1),
        ("held_out&counted=measured", 1),
        ("held_out&counted=reached", 1),
    ]
    assert_exported(client, "/actions/won?group=fired&counted=contacts", "/actions/won/fired.csv", within="fired")
    for wrong in ("group=passed&counted=measured", "counted=measured", "group=fired&counted=moot"):
        assert client.get(f"/actions/won?{wrong}").status_code == 422


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        ("on: nothing", "there is no trigger"),
        ("on: {enters_stage: customer}\ndo: [{destination: nowhere, template: x}]", "no destination"),
        (
            "on: payment_failed\nwhen: {field: stage, is: custmer}\ndo: [{destination: log, template: x}]",
            "perhaps customer",
        ),
        ("on: [", "line 1"),
        ("", "An action says"),
        ("on: payment_failed\ndo: [{destination: log, template: '{{ oops }}'}]", "oops"),
    ],
)
def test_a_wrong_action_is_said_beside_what_was_typed(client: Client, spec: str, said: str) -> None:
    answer = client.post("/actions", data={"was": "", "key": "mine", "spec": spec, "do": "save"})
    assert answer.status_code == 422
    assert said in html.unescape(answer.text.partition('id="spec-wrong"')[2].partition("</ul>")[0])
    assert html.escape(spec, quote=False).splitlines()[:1] == [] or spec.splitlines()[0] in html.unescape(answer.text)


# ── all of them ──────────────────────────────────────────────────────────────────────────────────────────────────────

EDITED = ("/stages/edit", "/segments/edit?key=growth", "/alerts/rules", "/health", "/actions/mine")


def test_who_only_looks_changes_nothing(hub: Hub, people: Acting, looker: Client) -> None:
    people.act({"enters_stage": "customer"})
    for path in EDITED:
        page = looker.get(path)
        assert page.status_code == 200, path
        assert "btn-primary" not in page.text, path
    assert "Band" in looker.post("/health/spread", data={}).text


def test_what_the_file_manages_is_only_read(hub: Hub, people: Acting, client: Client) -> None:
    people.act({"enters_stage": "customer"})
    with hub.engine.begin() as db:
        rulebook.put_stages(db, STAGES, "file")
        rulebook.put_segments(db, SEGMENTS, "file")
        rulebook.put_settings(db, "health", {"coverage": 0.3}, "file")
        rulebook.put_settings(db, "alerts", [{"rule": "canceled", "days": 7}], "file")
        db.execute(text("update tidegate.actions set managed_by = 'file'"))
    for path in EDITED:
        page = client.get(path).text
        assert "tidegate.yaml manages" in page, path
        assert "btn-primary" not in page, path
    sent = {"was": "growth", "key": "growth", "when": "{field: mrr, above: 1}"}
    assert client.post("/segments/edit", data=sent).status_code == 409
    assert client.post("/actions/mine/enable").status_code == 422


def test_figures_lead_to_whom_they_count(hub: Hub, people: Acting, client: Client) -> None:
    key = people.add("mover", status="trialing", mrr_total=0)
    people.add("late", status="past_due", statuses=["past_due"], mrr_total=20)
    people.pass_()
    people.set(key, status="active", mrr_total=10)
    people.pass_(1)
    since = {"later": datetime.now(UTC) - people.now}
    with hub.engine.begin() as db:
        db.execute(
            text("update tidegate.memberships set entered_at = entered_at + :later, left_at = left_at + :later"), since
        )
    page = client.get("/stages/report").text
    moves = assert_counted(client, page, "/stages/report/moves?")
    assert any("into=&" not in link and "out_of=&" not in link for link in moves), "from one to the other"
    assert_counted(client, page, "/contacts?stage=")
    risks = assert_counted(client, page, "/contacts?risk=")
    assert risks["/contacts?risk=any"] >= 1
    assert_counted(client, client.get("/stages").text, "/stages/report/moves?")
    for link, number in moves.items():
        rows = [*csv.DictReader(io.StringIO(client.get(link.replace("moves?", "moves.csv?")).text))]
        assert len(rows) == number
    assert_exported(client, "/stages", within="stages")
    assert_exported(client, "/segments")
    assert "risk=" in page
    funnel = [*csv.DictReader(io.StringIO(client.get("/stages/report.csv").text))]
    assert {one["key"]: int(one["contacts"]) for one in funnel}["customer"] >= 1
    assert client.get("/stages/report.csv?from=soon").status_code == 422
    assert client.get("/stages/report/drivers.csv").text.startswith("by,name,value,contacts,converted,rate")
    assert client.get("/contacts?risk=nothing").status_code == 422
    assert client.get("/stages/report/moves?from=soon").status_code == 422


@pytest.mark.parametrize("asked", ["", "?from=2026-01-01&to=2026-03-31"])
def test_the_lifecycle_in_figures(client: Client, asked: str) -> None:
    page = client.get(f"/stages/report{asked}").text
    assert "At risk" in page
    assert client.get(f"/stages/report/drivers{asked}").status_code == 200
    assert client.get("/stages/report/drivers?of=free").status_code == 200


@pytest.mark.parametrize(
    "asked",
    ["/stages/report?from=soon", "/stages/report?from=2026-03-01&to=2026-02-01", "/stages/report/drivers?of=all",
     "/stages/report/drivers?usage_days=0", "/stages/report/drivers?within_days=99999"],
)  # fmt: skip
def test_figures_that_cannot_be_asked_for(client: Client, asked: str) -> None:
    answer = client.get(asked)
    assert (answer.status_code, "alert-danger" in answer.text) == (422, True)

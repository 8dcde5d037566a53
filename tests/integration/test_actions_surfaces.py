"""Actions in tidegate.yaml, over HTTP and by command: the same answers; and what they send, as destinations get it."""

from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from httpx import Client
from tests.support.acting import Acting
from tests.support.command_line import Cli
from tests.support.importing import connected
from tests.support.post import SECRET
from tests.support.receiver import receiving
from tests.support.serving import serving

from tidegate.api.app import create_app
from tidegate.delivery.destinations.apprise_ import Apprise, AppriseOptions
from tidegate.delivery.destinations.segment import SegmentOptions, call
from tidegate.delivery.messages import Message, Person
from tidegate.errors import ActionInvalid, ConfigInvalid, ManagedByFile
from tidegate.sandbox import Sandbox
from tidegate.security import tokens
from tidegate.wiring import Hub
from tidegate.workflows.config import config_file
from tidegate.workflows.config.config_export import export
from tidegate.workflows.config.config_sections import read
from tidegate.workflows.config.config_yaml import dump
from tidegate.workflows.contacts import contacts_suppress
from tidegate.workflows.contacts.contacts_forget import forget
from tidegate.workflows.contacts.contacts_merge import merged
from tidegate.workflows.delivery import destinations, destinations_past
from tidegate.workflows.delivery.deliver import deliver
from tidegate.workflows.lifecycle import lifecycle_actions
from tidegate.workflows.operation import retention
from tidegate.workflows.previewing import commit, preview, settle

pytestmark = pytest.mark.further

FILE = """
actions:
  - key: won
    on: {enters_stage: customer}
    do: [{destination: log, template: "{{ contact.id }} is a customer."}]
  - {key: lost, on: {movement: churn}, do: [{destination: log, event: Lost}], enabled: false}
"""


@pytest.fixture
def people(hub: Hub) -> Acting:
    people = Acting(hub)
    people.add("acme", status="trialing")
    people.pass_()
    return people


def applied(people: Acting, text: str, *, prune: bool = False) -> list[dict[str, Any]]:
    change = config_file.apply(read(text, "f.yaml", {}), "ada", prune=prune)
    return settle(people.hub.engine, change, None, anyway=True).result["steps"]


# ── tidegate.yaml ────────────────────────────────────────────────────────────────────────────────────────────────────


def test_the_file_makes_actions_says_what_they_would_have_done_and_is_written_back(people: Acting) -> None:
    planned = preview(people.hub.engine, config_file.apply(read(FILE, "f.yaml", {}), "ada")).result["steps"]
    assert [(one["action"], one["section"], one["subject"]) for one in planned] == [
        ("create", "actions", "won"),
        ("create", "actions", "lost"),
    ]
    assert (planned[0]["would_have_fired"], planned[0]["in_days"]) == (0, 30)
    assert people.rows("select key from tidegate.actions") == []
    applied(people, FILE)
    assert people.rows("select key, enabled, managed_by from tidegate.actions order by key") == [
        ("lost", False, "file"),
        ("won", True, "file"),
    ]
    assert applied(people, FILE) == []
    with people.hub.engine.connect() as db:
        written = {"actions": export(db)["actions"]}
    assert applied(people, dump(written)) == []
    (step,) = applied(people, FILE.replace("is a customer", "pays"))
    assert (step["action"], list(step["now"])) == ("change", ["do"])
    with people.hub.engine.begin() as db, pytest.raises(ManagedByFile):
        lifecycle_actions.switch(db, "won", "ada", enabled=False)
    assert [one["action"] for one in applied(people, "actions: []")] == ["release", "release"]
    applied(people, FILE)
    assert [one["action"] for one in applied(people, "actions: []", prune=True)] == ["remove", "remove"]


def test_a_file_that_has_destinations_too_makes_them_first_and_takes_them_last(people: Acting, tmp_path: Path) -> None:
    text = f"""
destinations: [{{key: mine, type: files, path: {tmp_path}, mode: test}}]
actions: [{{key: won, on: {{enters_stage: customer}}, do: [{{destination: mine, event: Won}}]}}]
"""
    assert len(applied(people, text)) == 2
    with pytest.raises(ConfigInvalid, match="cannot go while actions send to it: won"):
        applied(people, "destinations: []", prune=True)
    steps = applied(people, "destinations: []\nactions: []", prune=True)
    assert [(one["action"], one["subject"]) for one in steps] == [("remove", "won"), ("remove", "mine")]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (
            FILE.replace("customer}", "custmer}"),
            "line 4: on.enters_stage: there is no stage 'custmer', perhaps customer",
        ),
        (
            FILE.replace("destination: log, t", "destination: lgo, t"),
            "line 5: do.0.destination: there is no destination",
        ),
        (
            FILE.replace("contact.id", "contact.ids"),
            "line 5: do.0.template: there is no contact.ids, perhaps contact.id",
        ),
        (FILE.replace("enabled: false", "enable: false"), "line 6: enable: there is no key 'enable', perhaps enabled"),
        (FILE.replace("movement: churn", "moved: churn"), "line 6: on.moved: there is no trigger 'moved', perhaps"),
    ],
)
def test_what_is_wrong_is_told_with_its_line(people: Acting, text: str, words: str) -> None:
    with pytest.raises(ConfigInvalid) as refused:
        applied(people, text)
    assert words in str(refused.value)


# ── HTTP and commands ────────────────────────────────────────────────────────────────────────────────────────────────


class Surfaces:
    """The hub, by HTTP and by the command line."""

    def __init__(self, client: Client, cli: Cli) -> None:
        self.client, self.cli = client, cli

    def __call__(self, method: str, path: str, status: int = 200, **said: Any) -> Any:
        answer = self.client.request(method, path, **said)
        assert answer.status_code == status, answer.text
        return answer.json() if answer.content else None


@pytest.fixture
def surfaces(
    hub: Hub, people: Acting, database_url: str, tmp_path: Path, make_sandbox: Callable[..., Sandbox]
) -> Iterator[Surfaces]:
    if not hub.accounts():
        connected(hub, make_sandbox(customers=1, months=1))
    with hub.engine.begin() as db:
        db.exec_driver_sql("delete from tidegate.tokens")
        _, token = tokens.create(db, "boss", ["admin"])
    with (
        serving(create_app(hub, ring_drain=lambda _db, _connection: None)) as url,
        Client(base_url=url, headers={"Authorization": f"Bearer {token}"}, timeout=60) as client,
    ):
        yield Surfaces(client, Cli(tmp_path, database_url))


ACTION = {
    "on": {"enters_stage": "customer"},
    "do": [{"destination": "log", "template": "{{ contact.id }}: {{ reason }}"}],
    "goal": {"reach": "expanded", "within_days": 30},
    "hold_out": 0.1,
}


@pytest.mark.wide
def test_actions_are_written_switched_and_looked_at_alike(people: Acting, surfaces: Surfaces) -> None:
    made = surfaces("PUT", "/api/actions/won", json=ACTION | {"enabled": False})
    assert (made["enabled"], made["since"], made["name"]) == (False, None, "Won")
    assert surfaces.cli.json("actions", "show", "won")["spec"] == ACTION
    assert surfaces.cli.json("actions", "enable", "won")["enabled"] is True
    people.run("update tidegate.actions set since = :at, seen_until = :at, seed = 'fires'", at=people.now)
    people.set(people.rows("select max(key) from tidegate.contacts")[0][0], status="active")
    assert (
        people.pass_(1).fired + people.rows("select count(*) from action_occurrences where state = 'held_out'")[0][0]
        == 1
    )
    [listed] = surfaces("GET", "/api/actions")["actions"]
    assert surfaces.cli.json("actions", "list")["actions"][0]["key"] == "won"
    assert listed["fired"] + listed["held_out"] == 1
    [fired] = surfaces("GET", "/api/actions/won/fired")["fired"]
    assert fired == surfaces.cli.json("actions", "fired", "won")["fired"][0] | {
        name: fired[name] for name in ("at", "decided_at", "goal_by")
    }
    assert (fired["contact"], fired["goal"]) == ("account:acme", "open")
    assert fired["reasons"][0] == "it came into the stage customer from trial"
    report = surfaces("GET", "/api/actions/won/report")
    assert "Too small a sample" in report["verdict"]
    assert surfaces.cli.json("actions", "report", "won") == report
    period = f"{people.now - timedelta(days=2):%Y-%m-%d}..{people.now:%Y-%m-%d}"
    dry = surfaces("GET", f"/api/actions/won/preview?period={period}")
    assert dry["would_have_fired"] + dry["held_out"] == 1
    assert dry["occurrences"][0]["contact"] == "account:acme"
    other = surfaces("POST", f"/api/actions/new/preview?period={period}", json=ACTION | {"hold_out": 0})
    assert (other["action"], other["would_have_fired"]) == ("new", 1)
    assert surfaces("POST", "/api/actions/won/disable")["enabled"] is False
    assert surfaces("POST", "/api/actions/won/enable")["enabled"] is True
    surfaces("DELETE", "/api/actions/won", 204)
    assert surfaces("GET", "/api/actions/won", 404)["type"].endswith("action-unknown")


def test_the_plan_says_in_words_what_becomes_of_whom(people: Acting, surfaces: Surfaces, tmp_path: Path) -> None:
    (tmp_path / "f.yaml").write_text(
        f"stages: [{{key: all}}]\nsegments: [{{key: us, when: {MINE}}}]{FILE.replace('customer', 'all')}"
    )
    told = surfaces.cli("config", "plan", str(tmp_path / "f.yaml"), code=1).stdout
    assert "1 contacts: stage trial → all" in told
    assert "1 contacts: segment us entered" in told
    assert "it would have fired 0 times in the last 30 days" in told


MINE = "{field: id, is: acme}"


@pytest.mark.wide
def test_commands_tell_people(people: Acting, surfaces: Surfaces) -> None:
    assert "actions suggest" in surfaces.cli("actions", "list").stdout
    offered = surfaces.cli("actions", "suggest").stdout
    assert "renewal-coming" in offered
    assert "enabled: false" in offered
    assert [one["action"] for one in applied(people, offered)] == ["create"] * 4
    assert surfaces("GET", "/api/actions/suggested")["actions"] == surfaces.cli.json("actions", "suggest")["actions"]
    people.act({"enters_stage": "customer"}, "won", hold_out=0)
    people.set(people.rows("select max(key) from tidegate.contacts")[0][0], status="active")
    people.pass_(1)
    assert "enters stage customer" in surfaces.cli("actions", "list").stdout
    shown = surfaces.cli("actions", "show", "won").stdout
    assert "switched on; it fired 1 times" in shown
    assert "log waiting" in surfaces.cli("actions", "fired", "won").stdout
    period = f"{people.now:%Y-%m}"
    told = surfaces.cli("actions", "preview", "won", "--period", period).stdout
    assert f"won would have fired 1 times in {period}, for 1 contacts." in told
    assert "it came into the stage customer from trial" in told
    assert "known since" in told
    assert "no goal" in surfaces.cli("actions", "report", "won").stdout
    assert "Is it won?" in surfaces.cli("actions", "show", "wonn", code=2).stderr
    assert "no period" in surfaces.cli("actions", "preview", "won", "--period", "May", code=2).stderr
    assert "switched off" in surfaces.cli("actions", "disable", "won").stdout
    refused = surfaces("PUT", "/api/actions/bad", 422, json=ACTION | {"on": {"enters_stage": "custmer"}})
    assert "on.enters_stage: there is no stage 'custmer', perhaps customer" in refused["detail"]


def test_a_suppressed_contact_is_told_to_nobody_by_nobody(people: Acting, surfaces: Surfaces) -> None:
    people.act({"enters_stage": "customer"})
    people.act({"enters_stage": "paused"}, "paused")
    key = people.rows("select max(key) from tidegate.contacts")[0][0]
    people.set(key, status="active")
    people.pass_(1)
    assert len(people.sent()) == 1
    why = "asked not to be written to"
    found = surfaces("PUT", "/api/contacts/acme/suppression", json={"reason": why})
    assert (found["suppressed"]["reason"], found["taken_back"]) == (why, 1)
    assert people.sent() == []
    people.destination("all", "files", events=["*"], properties=["name"])
    people.set(key, status="paused")
    assert people.pass_(1).fired == 0
    assert people.decided("paused") == [("passed", "suppressed")]
    people.run("update tidegate.contacts set name = 'Acme' where key = :key", key=key)
    with people.hub.engine.begin() as db:
        backfilled = destinations_past.backfill(
            db, people.hub.destination(db, "all"), people.now - timedelta(days=9), "ada", only_preview=False
        )
    assert (backfilled["events"], backfilled["contacts"]) == (0, 0)
    deliver(people.hub.engine, people.hub.destination)
    assert people.rows("select count(*) from tidegate.deliveries") == [(0,)]
    assert why in surfaces.cli("contacts", "suppressed").stdout
    assert surfaces.cli.json("contacts", "unsuppress", "acme")["suppressed"] is None
    assert "is not suppressed" in surfaces("DELETE", "/api/contacts/acme/suppression", 422)["detail"]
    people.set(key, status="active")
    people.pass_(1)
    people.set(key, status="paused")
    assert people.pass_(1).fired == 1


# ── what is sent ─────────────────────────────────────────────────────────────────────────────────────────────────────


def test_only_the_destination_that_is_named_is_sent_it_signed_and_in_order(people: Acting) -> None:
    with receiving() as receiver:
        said = {"secrets": [SECRET], "allow_private": True, "events": ["*"]}
        people.destination("named", "webhook", url=receiver.url, **said)
        people.destination("all", "webhook", url=f"{receiver.url}/all", **said)
        people.act(
            {"enters_stage": ["customer", "paused"]}, do=[{"destination": "named", "template": "{{ trigger.stage }}"}]
        )
        key = people.rows("select max(key) from tidegate.contacts")[0][0]
        for status in ("active", "paused"):
            people.set(key, status=status)
            people.pass_(1)
        deliver(people.hub.engine, people.hub.destination)
        told = [one for one in receiver.events(SECRET) if one["type"] == "action.fired"]
        assert [one["data"]["text"] for one in told] == ["customer", "paused"]
        assert (told[0]["data"]["contact"], told[0]["data"]["action"]) == ("account:acme", "mine")
        with people.hub.engine.begin() as db:
            every = people.hub.destination(db, "all")
            past = destinations_past.backfill(db, every, people.now - timedelta(days=9), "ada", only_preview=True)
            assert past["events"] == 0  # the moves were sent; what others were to be sent is none of its business
            with pytest.raises(ActionInvalid, match="mine"):
                destinations.remove(db, "named", "ada")


def test_what_an_action_says_is_what_apprise_and_segment_say(people: Acting) -> None:
    data = {"action": "won", "event": "Won", "text": "Acme pays.", "title": "Hurrah", "reasons": ["x"]}
    person = Person("account", "acme", "Acme", user=("u1", ""))
    message = Message(1, "evt_1", "action.fired", people.now, data, person)
    [shown] = Apprise().shown(AppriseOptions(url="json://localhost"), [message], people.now)
    assert shown == {"title": "Hurrah", "body": "Acme pays."}
    untitled = Message(1, "evt_1", "action.fired", people.now, data | {"title": ""}, person)
    assert Apprise().shown(AppriseOptions(url="json://localhost"), [untitled], people.now)[0]["title"] == "Won: Acme"
    tracked = call(SegmentOptions(write_key="k", rename={"Won": "Deal won"}), message)
    assert (tracked["event"], tracked["userId"]) == ("Deal won", "u1")
    assert tracked["properties"]["text"] == "Acme pays."


def test_forgetting_takes_what_was_said_and_why(people: Acting) -> None:
    key = people.rows("select max(key) from tidegate.contacts")[0][0]
    people.run("update tidegate.contacts set name = 'Ada Lovelace' where key = :key", key=key)
    people.act({"enters_stage": "customer"}, do=[{"destination": "log", "template": "{{ contact.name }}"}])
    people.set(key, status="active")
    people.pass_(1)
    assert people.sent()[0]["text"] == "Ada Lovelace"
    done = forget(people.hub.engine, False, "acme", "ada", only_preview=False)
    assert done.rows["tidegate.action_occurrences"] == 1
    left = people.rows("select data::text from tidegate.outbox where type = 'action.fired'")
    assert all("Lovelace" not in data for (data,) in left)
    assert people.rows("select reasons, state from tidegate.action_occurrences") == [([], "fired")]
    assert people.sent() == []


def test_what_was_passed_over_is_forgotten_in_time_and_what_was_done_is_not(people: Acting) -> None:
    people.run("""
insert into tidegate.action_occurrences (action, contact, occurrence, at, decided_at, state, what, reasons)
select 'mine', 1, 'o' || n, now(), now() - make_interval(days => n), case when n = 200 then 'fired' else 'passed' end,
  case when n = 150 then jsonb_build_object('renews_at', now() + interval '1 day') else '{}' end, '[]'
from unnest(array[1, 80, 100, 150, 200]) n""")
    assert retention.forget_old(people.hub.engine)["action_occurrences"] == 1
    left = people.rows("select occurrence from tidegate.action_occurrences order by id")
    assert left == [("o1",), ("o80",), ("o150",), ("o200",)]


def test_suppression_comes_along_when_contacts_are_merged(people: Acting) -> None:
    people.add("other")
    with people.hub.engine.begin() as db:
        contacts_suppress.suppress(db, False, "other", "wishes so", "ada")
    commit(people.hub.engine, merged(False, "acme", "other", "ada"), None)
    with people.hub.engine.connect() as db:
        assert [one["contact"] for one in contacts_suppress.listing(db, False)] == ["account:acme"]

"""Owners, routes, digests, notes, tasks, timeline, renewals and system alerts over HTTP and by command: alike."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from httpx import Client
from tests.support.command_line import Cli
from tests.support.importing import connected
from tests.support.placed import People
from tests.support.serving import serving

from tidegate.api.app import create_app
from tidegate.delivery import stored
from tidegate.lifecycle import system_alerts
from tidegate.lifecycle.system_alerts import Fact
from tidegate.sandbox import Sandbox
from tidegate.security import tokens
from tidegate.wiring import Hub


class Surfaces:
    """A contact with an alert, seen by HTTP and by the command line."""

    def __init__(self, hub: Hub, client: Client, cli: Cli) -> None:
        self.people, self.client, self.cli, self.hub = People(hub), client, cli, hub
        key = self.people.add("acme", status="active", mrr_total=2000, mrr='{"usd": 200000000000}')
        self.people.pass_()
        self.people.set(key, health=80)
        with hub.engine.begin() as db:
            said = {"path": "/tmp/nothing-is-written-here"}
            stored.define(db, "ops", "files", said, variables={}, vault=lambda: hub.vault, livemode=False)

    def __call__(self, method: str, path: str, status: int = 200, **said: Any) -> Any:
        answer = self.client.request(method, path, **said)
        assert answer.status_code == status, answer.text
        return answer.json() if answer.content else None


@pytest.fixture
def surfaces(hub: Hub, database_url: str, tmp_path: Path, make_sandbox: Callable[..., Sandbox]) -> Iterator[Surfaces]:
    if not hub.accounts():
        connected(hub, make_sandbox(customers=1, months=1))
    with hub.engine.begin() as db:
        db.exec_driver_sql("delete from tidegate.tokens")
        _, token = tokens.create(db, "boss", ["admin"])
    with (
        serving(create_app(hub, ring_drain=lambda _db, _connection: None)) as url,
        Client(base_url=url, headers={"Authorization": f"Bearer {token}"}, timeout=60) as client,
    ):
        yield Surfaces(hub, client, Cli(tmp_path, database_url))


def test_owners(surfaces: Surfaces) -> None:
    new = {"key": "ada", "email": "ada@example.com", "when": {"field": "mrr", "at_least": 1000}}
    made = surfaces("POST", "/api/owners", json=new)
    paid = [{"currency": "usd", "mrr": 200_000}]
    assert (made["contacts"], made["mrr"], made["health"], made["known"]) == (1, paid, 80, True)
    assert made["by_currency"] == [{"currency": "usd", "health": 80}]
    told = surfaces.cli.json("owners", "put", "ada", "--name", "Ada", "--destination", "ops", "--digest", "weekly")
    assert (told["name"], told["email"], told["destination"]) == ("Ada", "ada@example.com", "ops")
    listed = surfaces("GET", "/api/owners")["owners"]
    assert listed == surfaces.cli.json("owners", "list")["owners"]
    assert (listed[0]["when"], listed[0]["digest"]) == (new["when"], "weekly")
    shown = surfaces.cli("owners", "list").stdout
    assert "ada@example.com" in shown
    assert "no owner zoe" in surfaces.cli("owners", "assign", "acme", "zoe", code=2).stderr
    assert surfaces.cli.json("owners", "put", "ada", "--when", "")["when"] is None
    assert surfaces.cli.json("owners", "assign", "acme", "Ada") == {"contact": "account:acme", "owner": "ada"}
    refused = surfaces("POST", "/api/owners", 422, json={"key": "x", "when": {"field": "mmr", "above": 1}})
    assert "mrr" in refused["detail"]
    assert "owner" in surfaces.cli("health", "--by", "owner").stdout
    assert surfaces.cli.json("health", "--by", "owner")["groups"][0]["key"] == "ada"
    assert surfaces("DELETE", "/api/owners/ada") == {"owner": "ada", "contacts": 1}
    surfaces("DELETE", "/api/owners/ada", 404)


@pytest.mark.wide
def test_the_alert_route_and_digests(surfaces: Surfaces) -> None:
    assert surfaces("GET", "/api/alert-route")["destination"] == ""
    assert "go nowhere" in surfaces.cli("alerts", "route").stdout
    wanted = {"destination": "ops", "digest": "daily", "hour": 9, "time_zone": "Europe/Paris"}
    assert surfaces("PUT", "/api/alert-route", json=wanted) == wanted
    assert surfaces.cli.json("alerts", "route") == wanted
    assert surfaces.cli.json("alerts", "route", "--digest", "weekly") == wanted | {"digest": "weekly"}
    surfaces("PUT", "/api/alert-route", 404, json={"destination": "nowhere"})
    surfaces("PUT", "/api/alert-route", 422, json={"destination": "ops", "hour": 24})
    seen = surfaces("GET", "/api/digests/preview?every=weekly")
    assert seen["days"] == 30
    assert seen["text"].startswith("Opened: ")
    assert surfaces.cli.json("alerts", "digest", "--preview")["days"] == 7
    printed = surfaces.cli("alerts", "digest", "--preview").stdout
    assert "Movements of MRR: 0" in printed
    assert "no owner zoe" in surfaces.cli("alerts", "digest", "--preview", "--owner", "zoe", code=2).stderr
    assert surfaces("GET", "/api/digests") == {"digests": [], "next": None}
    assert "None was made yet" in surfaces.cli("alerts", "digest").stdout
    first = surfaces("POST", "/api/digests/send", 201, json={"owner": ""})
    second = surfaces.cli.json("alerts", "digest", "--send")
    assert (first["destination"], second["destination"]) == ("ops", "ops")
    assert datetime.fromisoformat(second["since"]) == datetime.fromisoformat(first["until"]), "nothing is told twice"
    assert len(surfaces("GET", "/api/digests")["digests"]) == 2
    surfaces("POST", "/api/digests/send", 404, json={"owner": "zoe"})
    assert surfaces.cli.json("alerts", "route", "--remove")["destination"] == ""


@pytest.mark.wide
def test_notes_tasks_and_the_timeline(surfaces: Surfaces) -> None:
    note = surfaces("POST", "/api/contacts/acme/notes", 201, json={"text": "by http"})
    told = surfaces.cli.json("contacts", "note", "acme", "by hand")
    surfaces("POST", "/api/contacts/acme/notes", 422, json={"text": ""})
    task = surfaces("POST", "/api/contacts/acme/tasks", 201, json={"text": "Call", "due_on": "2026-04-01"})
    other = surfaces.cli.json("contacts", "task", "acme", "Write", "--due", "2026-05-01")
    assert (task["contact"], task["by"]) == ("account:acme", "token:boss")
    listed = surfaces("GET", "/api/tasks")["tasks"]
    assert [one["id"] for one in listed] == [task["id"], other["id"]]
    assert listed == [
        one | {"at": there["at"]}
        for one, there in zip(surfaces.cli.json("tasks", "list")["tasks"], listed, strict=True)
    ]
    assert surfaces("GET", "/api/tasks?limit=1")["next"] == 1
    assert surfaces("GET", "/api/tasks?due_by=2026-04-02&contact=acme&owner=")["tasks"][0]["text"] == "Call"
    assert surfaces("PATCH", f"/api/tasks/{task['id']}", json={"done": True})["done_by"] == "token:boss"
    assert "is done by" in surfaces.cli("tasks", "done", str(other["id"])).stdout
    assert surfaces.cli.json("tasks", "reopen", str(other["id"]))["done_at"] is None
    assert surfaces.cli.json("tasks", "change", str(other["id"]), "--some-day", "--text", "Wait")["due_on"] is None
    surfaces("PATCH", "/api/tasks/999", 404, json={"done": True})
    page = surfaces("GET", "/api/contacts/acme/timeline?limit=3")
    again = surfaces.cli.json("contacts", "timeline", "acme", "--limit", "3")
    assert [one["id"] for one in page["timeline"]] == [one["id"] for one in again["timeline"]]
    rest = surfaces("GET", "/api/contacts/acme/timeline", params={"after": page["next"], "kind": "note"})
    assert rest["next"] is None
    printed = surfaces.cli("contacts", "timeline", "acme").stdout
    for words in ("by hand (cli:", "by http (token:boss", "Call, due 2026-04-01", "nowhere → customer"):
        assert words in printed
    surfaces("GET", "/api/contacts/acme/timeline?kind=notes", 422)
    surfaces("DELETE", f"/api/contacts/acme/notes/{note['id']}", 204)
    surfaces("DELETE", f"/api/contacts/acme/notes/{note['id']}", 404)
    assert surfaces.cli.json("contacts", "remove-note", "acme", str(told["id"]))["removed"]
    surfaces("DELETE", f"/api/tasks/{task['id']}", 204)
    assert surfaces.cli.json("tasks", "remove", str(other["id"]))["removed"]
    assert surfaces("GET", "/api/tasks?state=all")["tasks"] == []


@pytest.mark.wide
def test_alerts_of_the_hub_itself_stand_apart_and_in_status(surfaces: Surfaces) -> None:
    with surfaces.hub.engine.begin() as db:
        system_alerts.keep(db, [Fact("disk_low", "disk", "0.1 GB are free.", "Make room.")], surfaces.people.now)
    assert surfaces("GET", "/api/alerts")["alerts"] == []
    [alert] = surfaces("GET", "/api/alerts?system=true")["alerts"]
    assert (alert["rule"], alert["subject"], alert["contact"], alert["routed_to"]) == ("disk_low", "disk", None, "")
    assert surfaces.cli.json("alerts", "list", "--system")["alerts"][0]["id"] == alert["id"]
    assert "1 alerts of the hub itself" in surfaces.cli("alerts", "list").stdout
    assert "0.1 GB are free.; Make room." in surfaces.cli("alerts", "list", "--system").stdout
    assert surfaces("POST", f"/api/alerts/{alert['id']}/ack")["state"] == "acknowledged"
    shown = surfaces.cli("status", code=1).stdout
    assert "system alerts: 1 stand, 1 of them told to nobody" in shown
    status = surfaces.cli.json("status", code=1)
    assert [(one["rule"], one["state"]) for one in status["alerts"]] == [("disk_low", "acknowledged")]


def test_status_lists_what_runs_when(surfaces: Surfaces) -> None:
    surfaces("PUT", "/api/alert-route", json={"destination": "ops", "digest": "daily"})
    found = surfaces.cli.json("status", code=1)["schedules"]
    by = {one["what"]: one for one in found}
    assert set(by) == {
        "webhooks", "catch-up", "sweep", "permissions", "lifecycle", "system alerts", "digest", "retention",
    }  # fmt: skip
    assert (by["webhooks"]["when"], by["webhooks"]["next_at"]) == ("always", None)
    assert by["catch-up"]["when"] == "every 5 min"
    assert by["lifecycle"]["when"].startswith("every 15 min")
    last, upcoming = (datetime.fromisoformat(by["lifecycle"][name]) for name in ("last_at", "next_at"))
    assert last == surfaces.people.now
    assert upcoming >= last + timedelta(minutes=15)
    assert (by["digest"]["of"], by["digest"]["when"]) == ("default route", "daily at 8:00 UTC")
    due = datetime.fromisoformat(by["digest"]["next_at"])
    assert datetime.now(UTC) < due <= datetime.now(UTC) + timedelta(days=1)
    printed = surfaces.cli("status", code=1).stdout
    assert "system alerts" in printed
    assert "every minute" in printed

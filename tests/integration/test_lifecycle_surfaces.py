"""The lifecycle over HTTP and by command: the same answers, alerts that people move, other stages after a look."""

from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from httpx import Client
from tests.support.command_line import Cli
from tests.support.importing import connected
from tests.support.placed import NOW, People
from tests.support.serving import serving

from tidegate.api.app import create_app
from tidegate.sandbox import Sandbox
from tidegate.security import tokens
from tidegate.wiring import Hub


class Surfaces:
    """Two contacts, seen by HTTP and by the command line."""

    def __init__(self, hub: Hub, client: Client, cli: Cli) -> None:
        self.people, self.client, self.cli = People(hub), client, cli
        late = {"failed_attempts": 1, "failing_invoice": "in_1", "past_due_since": NOW - timedelta(days=7)}
        known = {"latest_invoice_status": "open", "mrr_total": 200, "mrr_trend": 1, "customer_since": NOW}
        known["mrr"] = '{"usd": 20000000000}'
        self.people.add("acme", None, status="past_due", statuses=["past_due"], **late, **known)
        self.people.add("beta", status="trialing")
        self.people.pass_()

    def __call__(self, method: str, path: str, status: int = 200, **said: Any) -> Any:
        answer = self.client.request(method, path, **said)
        assert answer.status_code == status, answer.text
        return answer.json()


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


def test_stages_and_segments_say_who_is_where_and_what_they_are_worth(surfaces: Surfaces) -> None:
    told = surfaces("GET", "/api/stages")["stages"]
    assert [(one["key"], one["contacts"], one["mrr"]) for one in told] == [
        ("at_risk", 1, [{"currency": "usd", "mrr": 20_000}]),
        ("customer", 0, []),
        ("trial", 1, []),
        ("paused", 0, []),
        ("churned", 0, []),
        ("prospect", 0, []),
    ]
    assert [one["key"] for one in surfaces.cli.json("stages", "list")["stages"]] == [one["key"] for one in told]
    shown = surfaces.cli("stages", "list").stdout
    assert "subscription.status is active or past_due" in shown
    assert "no other holds" in shown
    assert "200.00 USD" in shown
    segments = {one["key"]: one["contacts"] for one in surfaces("GET", "/api/segments")["segments"]}
    assert segments == {"enterprise": 0, "growth": 0, "starter": 1, "at_risk": 1}
    assert "mrr at least 1000" in surfaces.cli("segments", "list").stdout


@pytest.mark.wide
def test_other_stages_hold_after_a_look_at_who_moves(surfaces: Surfaces) -> None:
    seen = surfaces("POST", "/api/stages?preview=true", json={"preset": "journy"})
    assert (seen["contacts"], seen["done"]) == (1, False)
    assert seen["moves"] == [{"from": "at_risk", "to": "customer", "contacts": 1}]
    stale = surfaces("POST", "/api/stages", 409, json={"preset": "journy", "token": "other"})
    assert stale["type"].endswith("preview-stale")
    previewed = surfaces.cli("stages", "use", "journy", "--preview").stdout
    assert "at_risk" in previewed
    assert f"--token {seen['token']}" in previewed
    done = surfaces.cli.json("stages", "use", "journy", "--token", seen["token"])
    assert (done["contacts"], done["done"]) == (1, True)
    assert surfaces("GET", "/api/stages")["stages"][0]["key"] == "trial"
    back = surfaces("POST", "/api/stages", json={"preset": "default"})
    assert back["contacts"] == 1
    mine = [{"key": "all"}, {"key": "vip", "when": {"field": "mrr", "above": "x"}}]
    refused = surfaces("POST", "/api/stages", 422, json={"stages": mine})
    assert "vip.when.above: mrr is a number" in refused["detail"]
    segment = {"key": "late", "when": {"field": "days_past_due", "above": 1}}
    assert surfaces("POST", "/api/segments?preview=true", json={"segments": [segment]})["entered"] == {"late": 1}
    naming = {"key": "mine", "when": {"field": "packages", "has": "nothing-of-ours"}}
    for path, said in (("segments", [naming]), ("stages", [naming, {"key": "rest"}])):
        refused = surfaces("POST", f"/api/{path}?preview=true", 422, json={path: said})
        assert "there is no package" in refused["detail"], path
    assert "no preset" in surfaces.cli("stages", "use", "other", code=2).stderr


@pytest.mark.wide
def test_alerts_are_listed_by_pages_and_moved(surfaces: Surfaces) -> None:
    first = surfaces("GET", "/api/alerts?limit=1")
    second = surfaces("GET", f"/api/alerts?limit=1&after={first['next']}")
    rules = [page["alerts"][0]["rule"] for page in (first, second)]
    assert sorted(rules) == ["past_due", "payment_failed"]
    number = first["alerts"][0]["id"]
    assert first["alerts"][0]["contact"] == "account:acme"
    assert surfaces.cli.json("alerts", "list", "--limit", "1")["alerts"][0]["contact"] == "account:acme"
    acknowledged = surfaces("POST", f"/api/alerts/{number}/ack")
    assert (acknowledged["state"], acknowledged["changed_by"]) == ("acknowledged", "token:boss")
    assert acknowledged["contact"] == "account:acme"
    assert surfaces("POST", f"/api/alerts/{number}/snooze", json={"until": "2999-01-01"})["state"] == "snoozed"
    dismissed = surfaces("POST", f"/api/alerts/{number}/dismiss", json={"reason": "they pay by wire"})
    assert dismissed["note"] == "they pay by wire"
    assert [one["id"] for one in surfaces("GET", "/api/alerts?state=dismissed")["alerts"]] == [number]
    assert surfaces("POST", f"/api/alerts/{number}/note", json={"note": " by hand "})["note"] == "by hand"
    assert surfaces("POST", f"/api/alerts/{number}/note", 422, json={"note": " "})["status"] == 422
    assert surfaces("POST", f"/api/alerts/{number}/reopen")["state"] == "open"
    assert surfaces("POST", "/api/alerts/999/ack", 404)["type"].endswith("alert-unknown")
    other = second["alerts"][0]["id"]
    assert "Alert" in surfaces.cli("alerts", "ack", str(other)).stdout
    assert surfaces.cli.json("alerts", "snooze", str(other), "--until", "2999-01-01")["state"] == "snoozed"
    assert "still to come" in surfaces.cli("alerts", "snooze", str(other), "--until", "2020-01-01", code=2).stderr
    assert surfaces.cli.json("alerts", "note", str(other), "Ada calls")["note"] == "Ada calls"
    assert "Noted" in surfaces.cli("alerts", "note", str(other), "Ada calls").stdout
    assert surfaces.cli.json("alerts", "dismiss", str(other), "--reason", "known")["state"] == "dismissed"
    assert [one["id"] for one in surfaces.cli.json("alerts", "list")["alerts"]] == [number]
    assert len(surfaces.cli.json("alerts", "list", "--all")["alerts"]) == 2
    assert surfaces.cli.json("alerts", "reopen", str(other))["state"] == "open"
    assert "acme" in surfaces.cli("alerts", "list", "--rule", "past_due").stdout


@pytest.mark.wide
def test_why_and_how_healthy_are_told_alike(surfaces: Surfaces) -> None:
    told = surfaces("GET", "/api/contacts/acme/health")
    assert told["parts"] == {"payment": 30, "mrr_trend": 75, "tenure": 30, "revenue_tier": 70}
    assert (told["health"], told["coverage"], told["unhealthy_since"]) == (44.2, 0.6, None)
    assert surfaces.cli.json("health", "acme")["health"] == 44.2
    assert "44.2, of 60% of the weight" in surfaces.cli("health", "acme").stdout
    assert surfaces("GET", "/api/contacts/beta/health")["health"] is None
    assert surfaces.cli.json("health")["health"] == 44.2
    assert "fair" in surfaces.cli("health").stdout
    assert "beta: unknown" in surfaces.cli("health", "beta").stdout
    why = surfaces("GET", "/api/contacts/acme/stage")
    assert why["stage"] == "at_risk"
    assert why["stages"][0]["reasons"][-1] == "any_subscription.status has past_due (past_due)"
    assert "At risk: holds ← it is here" in surfaces.cli("explain", "stage", "acme").stdout
    surfaces("GET", "/api/contacts/nobody/stage", 404)


@pytest.mark.wide
def test_what_health_and_alerts_go_by_is_shown_and_set_after_a_look(surfaces: Surfaces) -> None:
    with surfaces.people.hub.engine.begin() as db:
        db.exec_driver_sql("delete from tidegate.lifecycle_settings")
    known = surfaces("GET", "/api/lifecycle/settings")
    assert known["managed_by"] == {"health": "", "alerts": "", "worth": ""}
    assert surfaces.cli.json("alerts", "rules")["rules"] == known["alerts"]
    assert "renewal_upcoming" in surfaces.cli("alerts", "rules").stdout
    said = {"alerts": [{"rule": "payment_failed", "enabled": False}]}
    seen = surfaces("POST", "/api/lifecycle/settings?preview=true", json=said)
    assert (seen["resolved"], seen["done"]) == ({"payment_failed": 1}, False)
    done = surfaces("POST", "/api/lifecycle/settings", json=said | {"token": seen["token"]})
    assert done == seen | {"done": True}
    assert not next(one for one in surfaces.cli.json("alerts", "rules")["rules"] if one["rule"] == "payment_failed")[
        "enabled"
    ]
    wrong = surfaces("POST", "/api/lifecycle/settings", 422, json={"health": {"coverage": 5}})
    assert "health.coverage: it is a number above 0, at most 1" in wrong["detail"]
    surfaces("POST", "/api/lifecycle/settings", json={"alerts": []})


@pytest.mark.wide
def test_figures_are_told_alike(surfaces: Surfaces) -> None:
    told = surfaces("GET", "/api/stages/report")
    assert {one["key"]: one["contacts"] for one in told["stages"]}["at_risk"] == 1
    assert surfaces.cli.json("stages", "report") == told
    shown = surfaces.cli("stages", "report").stdout
    assert "At risk" in shown
    assert "█" in shown
    assert "any of them" in shown
    assert "Trials begun: " in shown
    drivers = surfaces("GET", "/api/stages/drivers?of=free&within_days=1&usage_days=3")
    assert (drivers["of"], drivers["within_days"], drivers["usage_days"]) == ("free", 1, 3)
    told = surfaces.cli.json("stages", "drivers", "--of", "free", "--within-days", "1", "--usage-days", "3")
    assert told == drivers
    assert drivers["warning"] in " ".join(surfaces.cli("stages", "drivers", "--of", "free").stderr.split())
    refused = surfaces("GET", "/api/stages/report?from=2026-04-01&to=2026-03-01", 422)
    assert refused["detail"] == "2026-04-01 is after 2026-03-01: the first day comes first."
    assert "is no day" in surfaces.cli("stages", "report", "--from", "soon", code=2).stderr


def test_the_plan_of_a_file_says_what_it_does_to_contacts(surfaces: Surfaces, tmp_path: Path) -> None:
    file = tmp_path / "tidegate.yaml"
    file.write_text(
        """
stages:
  - {key: late, when: {field: any_subscription.status, has: past_due}}
  - {key: others}
segments: [{key: everybody, when: {field: kind, is: account}}]
health: {components: [{key: payment, weight: 0}, {key: tenure, weight: 0}]}
alerts: [{rule: payment_failed, enabled: false}]
"""
    )
    shown = surfaces.cli("config", "plan", str(file), code=1).stdout
    for told in (
        "1 contacts: stage at_risk → late",
        "2 contacts: segment everybody entered",
        "1 contacts: segment at_risk left",
        "1 contacts have another health",
        "1 alerts: payment_failed resolved",
    ):
        assert told in shown

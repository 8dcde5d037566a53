"""Owners and the alert route in tidegate.yaml: planned, applied once, exported and read again the same."""

from typing import Any

import pytest
from tests.support.placed import People

from tidegate.delivery import stored
from tidegate.errors import ConfigInvalid, ManagedByFile
from tidegate.lifecycle import owners, routes
from tidegate.lifecycle.owners import Owner
from tidegate.lifecycle.routes import Route
from tidegate.wiring import Hub
from tidegate.workflows.config import config_file
from tidegate.workflows.config.config_export import export
from tidegate.workflows.config.config_sections import read
from tidegate.workflows.config.config_yaml import dump
from tidegate.workflows.lifecycle import people as workflow
from tidegate.workflows.previewing import preview, settle

FILE = """
destinations:
  - {key: ops, type: files, path: /tmp/ops, mode: test}
owners:
  - {key: ada, email: ada@example.com, destination: ops, digest: weekly, when: {field: mrr, at_least: 1000}}
  - {key: bob}
alert_route: {destination: ops, digest: daily, hour: 7, time_zone: Europe/Paris}
"""


@pytest.fixture
def people(hub: Hub) -> People:
    return People(hub)


def applied(people: People, said: str, **options: Any) -> list[dict[str, Any]]:
    change = config_file.apply(read(said, "f.yaml", {}), "ada", **options)
    return settle(people.hub.engine, change, None, anyway=True).result["steps"]


def test_the_file_is_planned_applied_once_exported_and_read_again(people: People) -> None:
    key = people.add(mrr_total=2000)
    planned = preview(people.hub.engine, config_file.apply(read(FILE, "f.yaml", {}), "ada")).result["steps"]
    assert [(one["action"], one["section"], one["subject"]) for one in planned] == [
        ("create", "destinations", "ops"),
        ("create", "owners", "ada"),
        ("create", "owners", "bob"),
        ("create", "alert_route", "ops"),
    ]
    assert people.rows("select count(*) from tidegate.owners") == [(0,)]
    assert len(applied(people, FILE)) == 4
    assert applied(people, FILE) == []
    assert people.rows("select owner from tidegate.contacts where key = :key", key=key) == [("ada",)]
    with people.hub.engine.connect() as db:
        assert routes.load(db) == Route("ops", "daily", 7, "Europe/Paris")
        written = dump(export(db))
    assert applied(people, written) == []
    changed = applied(people, FILE.replace("weekly", "daily").replace("hour: 7", "hour: 9"))
    assert [(one["section"], one["before"], one["now"]) for one in changed] == [
        ("owners", {"digest": "weekly"}, {"digest": "daily"}),
        ("alert_route", {"hour": 7}, {"hour": 9}),
    ]


def test_a_route_may_be_said_by_its_destination_alone(people: People) -> None:
    applied(people, FILE)
    applied(people, "alert_route: ops")
    with people.hub.engine.connect() as db:
        assert routes.load(db) == Route("ops")


def test_what_the_file_manages_is_changed_there_and_goes_with_prune(people: People) -> None:
    applied(people, FILE)
    with pytest.raises(ManagedByFile, match="The owner ada"):
        workflow.define_owner(people.hub.engine, Owner("ada"), "boss")
    with pytest.raises(ManagedByFile, match="The owner bob"):
        workflow.remove_owner(people.hub.engine, "bob", "boss")
    with pytest.raises(ManagedByFile, match="The alert route"):
        workflow.put_route(people.hub.engine, Route(), "boss")
    less = FILE.replace("  - {key: bob}\n", "")
    assert [(one["action"], one["subject"]) for one in applied(people, less)] == [("release", "bob")]
    workflow.define_owner(people.hub.engine, Owner("bob", name="Bob"), "boss")
    applied(people, FILE)
    assert [(one["action"], one["subject"]) for one in applied(people, less, prune=True)] == [("remove", "bob")]
    with people.hub.engine.connect() as db:
        assert [one.key for one in owners.every(db)] == ["ada"]


def test_a_destination_that_alerts_go_to_is_not_pruned(people: People) -> None:
    applied(people, FILE)
    with pytest.raises(ConfigInvalid, match="--prune: Alerts go to ops by the default route"):
        applied(people, "destinations: []\nowners: []", prune=True)
    with people.hub.engine.connect() as db:
        assert stored.shown(db, "ops")


@pytest.mark.parametrize(
    ("said", "words"),
    [
        ("owners:\n  - {key: ada, mail: x}", "line 2.*no key mail.*email"),
        ("owners:\n  - {key: ada, when: {field: mmr, above: 1}}", "line 2.*mrr"),
        ("owners:\n  - {key: ada, destination: nowhere}", "line 2.*no destination nowhere"),
        ("alert_route: nowhere", "line 1.*no destination nowhere"),
        ("alert_route: {destination: ops, hours: 3}", "no key hours.*hour"),
        ("alert_route: [ops]", "is a destination, or its keys: destination, digest, hour, time_zone"),
        ("alert_route: {destination: ops, hour: 30}", "hour"),
    ],
)
def test_a_mistake_is_told_with_its_line(people: People, said: str, words: str) -> None:
    with pytest.raises(ConfigInvalid, match=words):
        applied(people, said)

"""Stages and segments in tidegate.yaml: planned with who moves, applied once, exported and read again the same."""

from typing import Any

import pytest
from sqlalchemy import text
from tests.support.placed import People

from tidegate.catalog import packages
from tidegate.errors import ConfigInvalid, ManagedByFile
from tidegate.lifecycle import rulebook
from tidegate.lifecycle.rules import STAGES
from tidegate.wiring import Hub
from tidegate.workflows.config import config_file
from tidegate.workflows.config.config_export import export
from tidegate.workflows.config.config_sections import read
from tidegate.workflows.config.config_yaml import dump
from tidegate.workflows.lifecycle.lifecycle_rules import change, preset
from tidegate.workflows.previewing import preview, settle

FILE = """
stages:
  - {key: paying, name: Pays us, when: {field: subscription.status, is: [active, past_due]}}
  - {key: trial, when: {field: subscription.status, is: trialing}}
  - key: lost
    when:
      all:
        - {field: ever_paid, is: true}
        - not: {field: properties.tier, is: vip}
  - {key: nobody}
segments:
  - {key: vip, when: {field: properties.tier, is: vip}}
"""


@pytest.fixture
def people(hub: Hub) -> People:
    people = People(hub)
    people.add("a", {"tier": "vip"}, status="active")
    people.add("b", status="trialing")
    people.pass_()
    return people


def applied(people: People, file: str) -> Any:
    return settle(people.hub.engine, config_file.apply(read(file, "f.yaml", {}), "ada"), None, anyway=True)


def test_the_plan_says_who_moves_and_the_file_holds_from_then_on(people: People) -> None:
    planned = preview(people.hub.engine, config_file.apply(read(FILE, "f.yaml", {}), "ada"))
    stages, segments = planned.result["steps"]
    assert (stages["action"], stages["section"], stages["contacts"]) == ("create", "stages", 1)
    assert stages["moves"] == [{"from": "customer", "to": "paying", "contacts": 1}]
    assert (segments["section"], segments["entered"]) == ("segments", {"vip": 1})
    assert {row[0] for row in people.rows("select stage from tidegate.contact_lifecycle")} == {"customer", "trial"}
    assert len(applied(people, FILE).result["steps"]) == 2
    assert {row[0] for row in people.rows("select stage from tidegate.contact_lifecycle")} == {"paying", "trial"}
    assert applied(people, FILE).result["steps"] == []
    with pytest.raises(ManagedByFile):
        change(people.hub.engine, "ada", stages=preset("journy"))
    with people.hub.engine.connect() as db:
        written = export(db)
    assert list(written) == ["stages", "segments"]
    assert applied(people, dump(written)).result["steps"] == []


def test_an_empty_list_brings_the_preset_back(people: People) -> None:
    applied(people, FILE)
    (stages,) = applied(people, "stages: []").result["steps"]
    assert stages["moves"] == [{"from": "paying", "to": "customer", "contacts": 1}]
    with people.hub.engine.connect() as db:
        assert rulebook.load(db).stages == STAGES
        assert [one.key for one in rulebook.load(db).segments] == ["vip"]  # of which the file said nothing
    change(people.hub.engine, "ada", stages=preset("journy"))


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        ("stages:\n  - {key: a}\n  - {key: b, when: {field: mrrr, above: 1}}", 3, "perhaps mrr"),
        ("stages:\n  - {key: a, when: {field: mrr, above: 1}}", 2, "exactly one stage has no `when`"),
        ("segments:\n  - {key: a}", 2, "a segment needs `when`"),
        ("segments:\n  - {key: a, wenn: {}}", 2, "Did you mean when?"),
    ],
)
def test_what_is_wrong_is_told_with_its_line(people: People, text: str, line: int, words: str) -> None:
    with pytest.raises(ConfigInvalid) as refused:
        applied(people, text)
    assert f"line {line}" in str(refused.value)
    assert words in str(refused.value)


PACKAGES = "packages: [{key: pro-plan, name: Pro}]\n"
NAMING = "segments: [{key: pros, when: {any: [{field: mrr, above: 9}, {field: packages, has: PACKAGE}]}}]\n"


def test_a_condition_names_packages_that_there_are_or_that_the_same_file_makes(people: People) -> None:
    with people.hub.engine.begin() as db:
        db.execute(text("delete from tidegate.packages where key = 'pro-plan'"))
    with pytest.raises(ConfigInvalid, match="there is no package 'pro-plan'"):
        applied(people, NAMING.replace("PACKAGE", "pro-plan"))
    with pytest.raises(ConfigInvalid, match=r"line 2.*perhaps pro-plan"):
        applied(people, PACKAGES + NAMING.replace("PACKAGE", "pro-plam"))
    both = PACKAGES + NAMING.replace("PACKAGE", "pro-plan")
    assert [one["section"] for one in applied(people, both).result["steps"]] == ["packages", "segments"]
    with people.hub.engine.begin() as db:
        db.execute(text("update tidegate.packages set managed_by = ''"))
        packages.remove(db, "pro-plan")
    assert applied(people, NAMING.replace("PACKAGE", "pro-plan")).result["steps"] == [], "what stood there stays"
    other = NAMING.replace("PACKAGE", "pro-plan").replace("above: 9", "above: 10")
    assert len(applied(people, other).result["steps"]) == 1, "and may be changed elsewhere"
    with pytest.raises(ConfigInvalid, match="there is no package 'pro-plam'"):
        applied(people, other.replace("pro-plan", "pro-plam"))

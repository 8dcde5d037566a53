"""The ledger in an export: whose spans, by what policy, and the same movements when they are derived of the files; the
contacts and billing events beside it.
"""

import csv
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow.parquet
import pytest
from sqlalchemy import text
from tests.support.books import Books
from tests.support.command_line import Cli
from tests.support.histories import MILLION, day
from tests.support.shop import opened

from tidegate.contacts import directory, patching
from tidegate.contacts.directory import Making
from tidegate.workflows.operation.export import export
from tidegate.workflows.revenue import exclusions, ledger_policy
from tidegate.workflows.revenue.derive_ledger import derive


@pytest.fixture
def books(fresh_database_url: str) -> Iterator[Books]:
    """Two customers of one contact that swap a subscription, one in yen, one that is excluded."""
    with opened(fresh_database_url) as shop:
        books = Books(shop)
        one, other, staff, yen = books.who("bob", "bob", "staff", "kim")
        of = books.pays(one, 1000)
        books.pays(one, 1000, day("2026-04-01") + 30, of, status="canceled", ended_at=day("2026-04-01"))
        at = day("2026-04-01") + 900
        books.pays(other, 1000, at, created=at, start_date=at)
        books.pays(other, 1000, at + 1, f"sub_{other}", quantity=3)
        books.pays(staff, 9000)
        at = day("2026-03-01T04:59")  # February in New York
        books.pays(yen, 500, at, created=at, start_date=at, currency="jpy")
        books.refresh()
        exclusions.exclude(shop.engine, shop.account, staff, "a colleague", "me")
        yield books


def exported(books: Books, directory: Path) -> dict[str, Any]:
    told = export(books.shop.engine, books.shop.account, directory, "parquet")
    return {one["table"]: one["rows"] for one in told["tables"]}


@pytest.mark.wide
def test_what_is_derived_of_an_export_is_what_the_hub_keeps(books: Books, tmp_path: Path) -> None:
    tables = exported(books, tmp_path / "out")
    spans = pyarrow.parquet.read_table(tmp_path / "out/spans.parquet")
    assert tables["spans"] == spans.num_rows
    assert [f"{one.type}" for one in spans.schema][:12] == ["string"] * 6 + ["int64"] * 3 + ["bool"] + ["string"] * 2
    rows = spans.to_pylist()
    assert len({one["unit"] for one in rows}) == 2
    assert all(one["unit"].startswith("contact:") for one in rows)
    assert {one["provenance"] for one in rows} == {"observed"}
    assert [(one["mrr"], one["interval"], one["why_not"]) for one in rows if one["currency"] == "jpy"] == [
        (500 * MILLION, "month", "")
    ]
    told = derive("duckdb://", tmp_path / "out", tmp_path / "in")
    stored = books.shop.scalar("select count(*) from tidegate.movements where superseded_at is null")
    assert told["compared"] == {"exported": stored, "equal": True, "only_derived": 0, "only_exported": 0, "rows": []}
    assert {(one["currency"], one["kind"]) for one in told["sums"]} == {
        ("jpy", "new"), ("usd", "expansion"), ("usd", "new")
    }  # fmt: skip
    moves = pyarrow.parquet.read_table(tmp_path / "in/movements.parquet").to_pylist()
    assert [f"{one['day']}" for one in moves if one["currency"] == "jpy"] == ["2026-02-28"]


@pytest.mark.wide
def test_the_edition_in_force_is_exported_with_its_policy(books: Books, tmp_path: Path) -> None:
    exported(books, tmp_path / "before")
    ledger_policy.adopt(
        books.shop.engine, books.shop.account,
        {"preset": None, "choices": {"netting": "instant", "unit": "customer"}, "base_currency": "eur",
         "time_zone": "UTC"},
        "me",
    )  # fmt: skip
    exported(books, tmp_path / "after")
    assert json.loads((tmp_path / "after/ledger.json").read_text()) == {
        "connection": "acme", "policy": "default", "settings": {"netting": "instant", "unit": "customer"},
        "base_currency": "eur", "time_zone": "UTC", "identity": "own_id",
    }  # fmt: skip
    told = derive("duckdb://", tmp_path / "after", tmp_path / "in")
    assert told["compared"]["equal"]
    assert ("usd", "churn") in {(one["currency"], one["kind"]) for one in told["sums"]}
    (tmp_path / "before/ledger.json").replace(tmp_path / "after/ledger.json")
    other = derive("duckdb://", tmp_path / "after", tmp_path / "other")
    assert not other["compared"]["equal"]


def test_a_connection_without_a_ledger_exports_none(fresh_database_url: str, tmp_path: Path) -> None:
    with opened(fresh_database_url) as shop:
        (tmp_path / "ledger.json").write_text("{}")  # of an earlier export
        told = export(shop.engine, shop.account, tmp_path, "parquet")
    assert {"spans", "movements"}.isdisjoint(one["table"] for one in told["tables"])
    assert not (tmp_path / "ledger.json").exists()


def test_contacts_links_and_billing_events_are_exported(books: Books, tmp_path: Path) -> None:
    with books.shop.engine.begin() as db:
        key = db.scalar(text("select contact from tidegate.links group by 1 having count(*) = 2"))
        found = directory.of_key(db, key)
        patching.patch(db, found, {"properties": {"tier": "gold", "seats": 3}, "emails": [found.email, "b@x.io"]})
        directory.make(db, True, Making("user", "of live data", made_by="api"))
    tables = exported(books, tmp_path / "out")
    stored = {
        name: books.shop.scalar(f"select count(*) from tidegate.{name}")
        for name in ("contacts", "contact_ids", "contact_emails", "contact_facts", "links", "billing_events")
    }
    of_live = {"contacts": 1, "contact_ids": 1}
    assert {name: tables[name] for name in stored} == {name: n - of_live.get(name, 0) for name, n in stored.items()}
    assert tables["billing_events"] > 0
    assert tables["contact_members"] == tables["contact_domains"] == 0

    def read(name: str) -> list[dict[str, Any]]:
        return pyarrow.parquet.read_table(tmp_path / f"out/{name}.parquet").to_pylist()

    [bob] = [one for one in read("contacts") if one["external_id"] == found.external_id]
    assert json.loads(bob["properties"]) == {"tier": "gold", "seats": 3}
    assert {one["email"] for one in read("contact_emails") if one["contact"] == bob["key"]} == {
        found.email, "b@x.io",
    }  # fmt: skip
    assert sum(one["contact"] == bob["key"] for one in read("links")) == 2
    [facts] = [one for one in read("contact_facts") if one["contact"] == bob["key"]]
    assert json.loads(facts["mrr"]) == {"usd": 3000 * MILLION}
    canceled = {one["name"]: one for one in read("billing_events")}["Subscription Canceled"]
    assert canceled["subscription"] == f"sub_{canceled['customer']}"
    kept = books.shop.scalar("select data from tidegate.billing_events where name = 'Subscription Canceled'")
    assert json.loads(canceled["data"]) == kept

    export(books.shop.engine, books.shop.account, tmp_path / "csv", "csv")
    with (tmp_path / "csv/contacts.csv").open() as file:
        assert [one["properties"] for one in csv.DictReader(file) if one["key"] == f"{bob['key']}"] == [
            bob["properties"]
        ]


@pytest.mark.wide
def test_the_ledger_on_the_command_line(books: Books, fresh_database_url: str, tmp_path: Path) -> None:
    cli = Cli(tmp_path, fresh_database_url)
    out, unchanged, changed = (str(tmp_path / name) for name in ("out", "in", "other"))
    assert "movements" in cli("export", out).stdout
    said = cli("ledger", "--from", out, "--to", unchanged).stdout
    assert "They are the exported ones, row for row" in said
    assert "20.00 USD" in said
    assert "is not empty" in cli("ledger", "--from", out, "--to", unchanged, code=2).stderr
    assert "no such engine" in cli("ledger", "--engine", "x://", "--from", out, "--to", changed, code=2).stderr
    assert "ledger.json" in cli("ledger", "--from", unchanged, "--to", changed, code=2).stderr

    with books.shop.engine.begin() as db:
        db.execute(text("update tidegate.movements set amount = amount + 1000000 where currency = 'jpy'"))
    cli("export", out)
    differs = cli("ledger", "--from", out, "--to", changed, code=1).stdout
    assert "DIFFERENT: 1 rows are only derived, 1 are only in the export." in differs
    assert "501 JPY" in differs
    told = cli.json("ledger", "--from", out, "--to", f"{changed}2", code=1)
    assert (told["engine"], told["compared"]["equal"], len(told["compared"]["rows"])) == ("duckdb://", False, 2)

    cli("export", out, "--format", "csv")
    with (tmp_path / "out/movements.csv").open() as file:
        amounts = {row["currency"]: int(row["amount"]) for row in csv.DictReader(file)}
    assert amounts["jpy"] == 501 * MILLION

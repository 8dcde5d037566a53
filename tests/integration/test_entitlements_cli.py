"""Entitlements on the command line: reasons that people read, exit codes, one JSON document."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.support.builders import customer, item, price, subscription
from tests.support.shop import SEATS, Shop, opened
from typer.testing import CliRunner

from tidegate.cli import app
from tidegate.settings import settings

ADA = "ada@example.com"
Run = Callable[..., str]


@pytest.fixture
def shop(fresh_database_url: str) -> Iterator[Shop]:
    with opened(fresh_database_url) as shop:
        shop.settings(create_missing=True)
        shop.has(customer(name="Ada"), subscription(items=[item("si_1"), item("si_2", quantity=3, price=SEATS)]))
        shop.catalog()
        shop.refresh()
        yield shop


@pytest.fixture
def run(shop: Shop, fresh_database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Run]:
    monkeypatch.setenv("DATABASE_URL", fresh_database_url)
    monkeypatch.setenv("TIDEGATE_HOME", str(tmp_path))
    settings.cache_clear()

    def run(*words: str, code: int = 0) -> str:
        done = CliRunner().invoke(app, list(words))
        assert done.exit_code == code, (done.output, done.exception)
        return done.stdout

    yield run
    settings.cache_clear()


def doc(run: Run, *words: str, code: int = 0) -> dict[str, Any]:
    return json.loads(run(*words, "--json", code=code))


def test_what_a_contact_may_use_is_told_in_words(run: Run) -> None:
    told = run("entitlements", ADA)
    assert f"account:{ADA} has pro (version 1, the subscription is active) and extra-seats" in told
    assert "yes, by the package pro" in told
    one = run("entitlements", ADA, "seats")
    assert "seats: yes, by the package pro, the add-on extra-seats; 0 used of 25 seats." in one
    assert "the add-on extra-seats gives 5 × 3: the subscription is active (customer cus_1, subscription sub_1)" in one
    found = doc(run, "entitlements", ADA, "seats")
    assert (found["limit"], len(found["sources"])) == (25, 2)


def test_why_not_is_told_in_words(shop: Shop, run: Run) -> None:
    shop.has(subscription(status="unpaid", items=[item("si_1")]), at=200)
    shop.refresh()
    assert "sso: no: the package pro gave it, but the subscription is unpaid." in run("entitlements", ADA, "sso")
    assert f"account:{ADA} has no package." in run("entitlements", ADA)
    assert doc(run, "entitlements", "nobody", code=2)["error"]["type"] == "ContactUnknown"
    assert "Did you mean sso?" in doc(run, "entitlements", ADA, "ssso", code=2)["error"]["message"]


def test_usage_is_debited_once_for_each_key(run: Run) -> None:
    assert "Debited 3 calls: 3 used, 997 left of 1,000." in run("consume", ADA, "calls", "3", "--key", "k")
    assert "this key was known" in run("consume", ADA, "calls", "3", "--key", "k")
    refused = run("consume", ADA, "calls", "998", code=1)
    assert "Refused (usage_limit_reached) calls: 3 used, 997 left" in refused
    assert doc(run, "consume", ADA, "calls")["used"] == 4
    assert "Debited 998 calls: 1,002 used, 0 left of 1,000" in run("consume", ADA, "calls", "998", "--happened")


def test_overrides_are_given_listed_and_revoked(run: Run) -> None:
    given = doc(run, "overrides", "grant", ADA, "--feature", "calls", "--terms", '"unlimited"', "--reason", "a trial")
    assert (given["gives"], given["contact"]) == ({"unlimited": True}, f"account:{ADA}")
    assert given["by"].startswith("cli:")
    assert "a trial" in run("overrides", "list")
    assert "override 1 gives an unlimited amount: given by cli:" in run("entitlements", ADA, "calls")
    assert "is revoked" in run("overrides", "revoke", str(given["id"]))
    assert doc(run, "overrides", "list")["overrides"] == []
    assert [one["revoked_at"] is None for one in doc(run, "overrides", "list", ADA)["overrides"]] == [False]
    assert doc(run, "overrides", "revoke", "1", code=2)["error"]["type"] == "CatalogUnknown"
    run("overrides", "grant", ADA, "--feature", "seats", "--terms", "5", "--until", "2999-01-01", "--replace")
    past = doc(run, "overrides", "grant", ADA, "--feature", "sso", "--until", "2020-01-01", code=2)
    assert past["error"]["message"].startswith("The override would end at 2020-01-01 00:00:00 UTC")
    assert "5, until 2999-01-01" in run("entitlements", ADA, "seats") or "until 2999" in run("entitlements", ADA)
    assert (
        "no JSON"
        in doc(run, "overrides", "grant", ADA, "--feature", "seats", "--terms", "{", code=2)["error"]["message"]
    )


def test_the_path_to_an_entitlement_is_explained(shop: Shop, run: Run) -> None:
    told = run("explain", "entitlement", ADA, "seats")
    for step in (
        f"contact account:{ADA} “Ada”",
        "← link created",
        "← customer cus_1 “Ada”: ada@example.com, connection acme",
        "← subscription sub_1: active; the subscription is active",
        "← item si_2: quantity 3",
        "← price price_seats",
        "the price means package extra-seats, for each unit",
        "← package extra-seats: version 1 gives 5",
        "← feature seats: metered",
    ):
        assert step in told, told
    assert len(doc(run, "explain", "entitlement", ADA, "seats")["paths"]) == 2


def test_a_link_is_explained_and_so_is_none(shop: Shop, run: Run) -> None:
    assert f"account:{ADA}" in run("explain", "link", "cus_1")
    shop.settings(create_missing=False)
    shop.has(price("price_9"), customer("cus_9", email="new@elsewhere.example"))
    shop.has(subscription("sub_9", [item("si_9", "sub_9")], customer="cus_9"))
    shop.refresh()
    assert "no contact" in run("explain", "link", "cus_9")
    assert doc(run, "explain", "link", "cus_9")["contact"] is None

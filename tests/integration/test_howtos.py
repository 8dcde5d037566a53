"""What the howtos on prices, ids and gating show works, as it stands there."""

import shlex
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest
from tests.support.builders import customer, item, price, subscription
from tests.support.howto import Reader, blocks
from tests.support.product import sold
from tests.support.shop import Shop, opened

from tidegate.catalog import journal, packages
from tidegate.contacts import directory
from tidegate.contacts.directory import Making
from tidegate.settings import settings

ELSEWHERE = {
    "packages create-in-stripe pro": "test_catalog_in_stripe.py",
    "connect --name NAME --api-key - --write-key -": "test_connect.py",
    "contacts refresh acme": "test_contacts_fetch.py",
}
"""What a howto shows and needs a Stripe for, with the test that has one."""


PRICE = {"amount": 4900, "currency": "usd", "interval": "month"}


@pytest.fixture(autouse=True)
def at_home(fresh_database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """In a folder of its own, on a database of its own."""
    monkeypatch.setenv("DATABASE_URL", fresh_database_url)
    monkeypatch.setenv("TIDEGATE_HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    settings.cache_clear()
    yield
    settings.cache_clear()


def product(id_: str, name: str) -> dict[str, Any]:
    return {"id": id_, "object": "product", "created": 10, "name": name, "active": True}


@pytest.fixture
def shop(fresh_database_url: str) -> Iterator[Shop]:
    """Two plans, one of them with seats beside it, as they were imported: nothing is mapped yet."""
    with opened(fresh_database_url) as shop:
        shop.settings(create_missing=True)
        pro, team = price("price_123", product="prod_123"), price("price_team", product="prod_team")
        seats = price("price_9", product="prod_9", nickname="Seat")
        shop.has(product("prod_123", "Pro"), product("prod_team", "Team"), product("prod_9", "Seats"), pro, team, seats)
        shop.has(price("price_456", product="prod_9"))  # which nobody has
        for number, plan in enumerate([pro, pro, team], start=1):
            sub, cus = f"sub_12{number + 2}", f"cus_12{number + 2}"
            items = [item(f"si_{number}", sub, price=plan), item(f"si_{number}s", sub, quantity=3, price=seats)]
            shop.has(customer(cus, email=f"{number}@example.com"), subscription(sub, items, customer=cus))
        shop.refresh()
        yield shop


@pytest.mark.wide
def test_prices_are_mapped_as_the_howto_shows(shop: Shop, tmp_path: Path) -> None:
    reader = Reader({"CONTACT": "1@example.com"})
    reader.instead["9190c81b5bde06b0b34eca4600abf6da"] = reader.token
    text, published = "", False
    for block in blocks("map-your-prices.md"):
        text = block.text if block.language == "yaml" else text
        for command in block.commands:
            shown = shlex.join(command)
            if shown in ELSEWHERE or (shown == "config apply tidegate.yaml" and not Path("tidegate.yaml").read_text()):
                continue
            if shown.startswith("config apply features.yaml"):
                Path("features.yaml").write_text(text)
            if "create-in-stripe" in command:
                with shop.engine.begin() as db:
                    packages.define(db, "pro", name="Pro", prices=[PRICE], managed_by="file")
            told = reader.types(command, codes=(0, 1) if "plan" in command else (0, 2))
            if "so nothing was done" in told:  # who sits at a terminal is shown it, and asked
                told = reader.types([*command, "--yes"])
            assert not told.startswith("error"), (command, told)
            if shown.startswith("packages publish") and not published:
                assert "2 contacts stay on an older one, which gives nothing at all: `tidegate packages mig" in told
            if shown == "entitlements CONTACT" and not published:
                published = True
                assert "yes, by the package pro" in told.split("sso")[1]
                assert "the price price_9 (Seats, “Seat”, a month)" in told
    assert published
    with shop.engine.connect() as db:
        done = {one["action"] for one in journal.page(db, about="pro")}
    assert {"suggestion.accepted", "mapping.set", "package.published", "package.migrated"} <= done


@pytest.mark.wide
def test_ids_are_yours_as_the_howto_shows(shop: Shop) -> None:
    shop.settings()
    made = {"customer": "cus_123"}
    wanted = {"17": "batch", "NUMBER": "merge", "cus_123": "customer"}
    reader = Reader({word: partial(made.__getitem__, name) for word, name in wanted.items()})
    for block in blocks("your-ids.md"):
        if block.text.startswith("id,kind"):
            Path("contacts.csv").write_text(block.text)
        for command in block.commands:
            shown = shlex.join(command)
            if shown in ELSEWHERE:
                continue
            if shown == "contacts review list":
                made["customer"] = waits(shop)
            if shown.startswith("contacts merge"):
                has_contact(shop, "acme-2")
            if shown.startswith("contacts rename"):  # acme is the list's by now
                has_contact(shop, "ada@acme.com")
                command = [*command[:-1], "ada"]
            told = reader.types(command)
            if "--preview" in command and "forget" not in command:
                done = [word for word in command if word != "--preview"]
                told = reader.types([*done, "--token", reader.token()])
            for name in ("review undo", "contacts unmerge"):
                if f"{name} " in told:
                    made[{"review undo": "batch"}.get(name, "merge")] = told.split(f"{name} ")[1].split("`")[0]
            if shown == "contacts import contacts.csv --dry-run":
                assert "It would make 2 contacts" in told
                reader.types([word for word in command if word != "--dry-run"])
    assert {"batch", "merge"} < set(made)


def waits(shop: Shop) -> str:
    """A customer, one of two, that nobody is known to be and that waits for a person."""
    shop.settings(create_missing=False)
    for number in (8, 9):
        shop.has(customer(f"cus_{number}", email=""), subscription(f"sub_{number}", [], customer=f"cus_{number}"))
    shop.refresh()
    return "cus_8"


def has_contact(shop: Shop, id_: str) -> None:
    with shop.engine.begin() as db:
        directory.make(db, False, Making("account", id_))


@pytest.mark.wide
def test_a_feature_is_gated_as_the_howto_shows(fresh_database_url: str) -> None:
    with sold(fresh_database_url) as product:
        with product.engine.begin() as db:
            directory.rename(db, directory.find(db, False, "ada@example.com"), "acme")
        reader, token, asked, said = Reader({}), "", 0, list[str]()
        for block in blocks("gate-a-feature.md"):
            for command in block.commands:
                told = reader.types(command)
                token = token or told.split()[-1]
                assert token.startswith("tg_")
            if block.text.startswith("curl "):
                answer = curl(block.text, token, product.url)
                assert answer["granted"] if asked == 0 else answer["allowed"], answer
                asked += 1
            if block.language == "python":
                code = block.text.replace("http://127.0.0.1:8420", product.url)
                told_by = {"show_the_sso_page": lambda: said.append("sso"), "answer_429": lambda: said.append("429")}
                names: dict[str, Any] = {"token": token, **told_by}
                exec(code, names)
                names["hub"].close()
                assert said == ["sso"]
        assert asked == 2


def curl(command: str, token: str, url: str) -> dict[str, Any]:
    """What curl would get."""
    text = command.replace("\\\n", " ").replace("$TOKEN", token).replace("http://127.0.0.1:8420", url)
    words = iter(shlex.split(text)[1:])
    method, headers, body, where = "GET", dict[str, str](), None, ""
    for word in words:
        match word:
            case "-X":
                method = next(words)
            case "-H":
                name, _, value = next(words).partition(": ")
                headers[name] = value
            case "-d":
                body = next(words)
            case _:
                where = word
    answer = httpx.request(method, where, headers=headers, content=body, timeout=20)
    assert answer.status_code == 200, answer.text
    return answer.json()

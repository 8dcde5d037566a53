"""What "sell from your product" shows works, as it stands there."""

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from tests.support.howto import Reader, blocks
from tests.support.selling import Till, opened
from tests.support.serving import serving

from tidegate.api.app import create_app
from tidegate.security import tokens
from tidegate.settings import settings


@pytest.fixture
def shop(fresh_database_url: str, secret_key: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Till]:
    monkeypatch.setenv("DATABASE_URL", fresh_database_url)
    monkeypatch.setenv("TIDEGATE_HOME", str(tmp_path))
    monkeypatch.setenv("TIDEGATE_SECRET_KEY", secret_key)
    settings.cache_clear()
    with opened(fresh_database_url, secret_key, tmp_path) as shop:
        shop.contact()
        shop.customer()
        yield shop
    settings.cache_clear()


@pytest.mark.wide
def test_what_it_shows_works(shop: Till, monkeypatch: pytest.MonkeyPatch) -> None:
    reader = Reader({})
    reader.instead |= {"TOKEN": reader.token, "RUN": "2"}  # the import was the first
    told: dict[str, str] = {}
    python = ""
    for block in blocks("sell-from-your-product.md"):
        python += block.text if block.language == "python" else ""
        for command in block.commands:
            if command[:1] == ["connect"]:  # the shop is connected, with both keys
                continue
            if command[0] in {"sync", "contacts"} or len(command) > 2:
                told[" ".join(command)] = reader.types(command)
    assert "Nothing was done" in told["subscribe account:acme pro --interval month --preview"]
    assert "is active" in told["subscribe account:acme pro --interval month --token TOKEN"]
    assert "Run 2 of account:acme: done" in told["sync show RUN"]
    assert shop.sold() == []
    with shop.hub.engine.begin() as db:
        _, token = tokens.create(db, "product", ["operate"])
    with serving(create_app(shop.hub, ring_drain=lambda _db, _connection: None)) as url:
        given: dict[str, object] = {}
        exec(python.replace("http://127.0.0.1:8420", url).replace("tg_…", token), given)
        sold, client, due = given["sold"], given["hub"], given["due"]
        assert isinstance(sold, httpx.Response)
        assert isinstance(client, httpx.Client)
        client.close()
    assert (sold.status_code, sold.json()["state"]) == (200, "done")
    assert due == {"amount": 0, "currency": "usd"}, "what was credited before is more than it costs"
    assert shop.sold() == [("active", [("pro month", 1)])]

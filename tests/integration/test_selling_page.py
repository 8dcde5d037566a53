"""The page that sells: previewed with what it costs and gives, done by the preview's token, changed, ended."""

import re
import zlib
from collections.abc import Iterator

import pytest
from httpx import Client
from sqlalchemy import text
from tests.support.selling import Till, opened
from tests.support.visiting import sign_in, visited

from tidegate.connections import accounts
from tidegate.connections.accounts import Credentials


@pytest.fixture(scope="module")
def shop(database_url: str, secret_key: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Till]:
    with opened(database_url, secret_key, tmp_path_factory.mktemp("till")) as found:
        yield found


@pytest.fixture(scope="module")
def client(shop: Till) -> Iterator[Client]:
    with visited(shop.hub) as client:
        sign_in(shop.hub, client)
        yield client


def hidden(page: str) -> dict[str, str]:
    """What the preview's form sends."""
    return dict(re.findall(r'<input type="hidden" name="(\w+)" value="([^"]*)">', page)) | {"do": "carry_out"}


def test_a_subscription_is_started_changed_and_ended(shop: Till, client: Client) -> None:
    shop.contact("acme")
    shop.customer("acme")
    assert "/subscriptions/account:acme" in client.get("/contacts/acme").text
    page = "/subscriptions/acme"
    assert "The preview stands here" in client.get(page).text
    shown = client.post(page, data={"action": "subscribe", "package": "pro", "interval": "month", "do": "preview"})
    assert shown.status_code == 200
    assert "Due now: <strong>50.00 USD</strong>" in shown.text
    assert "seats" in shown.text
    assert shop.sold("acme") == [], "nothing was done"
    done = client.post(page, data=hidden(shown.text))
    assert "Done" in done.text
    assert len(shop.sold("acme")) == 1
    assert "Nothing to do" in client.post(page, data=hidden(shown.text)).text

    change = {"action": "change", "package": "basic", "proration_behavior": "none", "do": "preview"}
    stale = hidden(client.post(page, data=change).text) | {"token": "0_0"}
    again = client.post(page, data=stale)
    assert (again.status_code, "differs from what was shown" in again.text) == (409, True)
    assert "Done" in client.post(page, data=hidden(again.text)).text
    end = client.post(
        page, data={"action": "cancel", "package": "basic", "now": "yes", "quantity": "3", "do": "preview"}
    )
    assert "Done" in client.post(page, data=hidden(end.text)).text


@pytest.mark.parametrize(
    ("said", "words"),
    [
        ({"action": "give", "package": "pro"}, "subscribe, change or cancel"),
        ({"action": "subscribe", "package": ""}, "Say which package"),
        ({"action": "subscribe", "package": "pro", "quantity": "many"}, "It is a whole number"),
        ({"action": "subscribe", "package": "nothing"}, "nothing"),
        ({"action": "subscribe", "package": "pro", "collection_method": "send_invoice"}, "go together"),
    ],
)  # fmt: skip
def test_what_cannot_be_is_said_and_what_was_typed_stays(
    shop: Till, client: Client, said: dict[str, str], words: str
) -> None:
    contact = shop.contact(f"typed-{zlib.crc32(words.encode())}")
    answer = client.post(f"/subscriptions/{contact}", data=said | {"do": "preview", "currency": "<usd>"})
    assert (answer.status_code, words in answer.text, 'value="&lt;usd&gt;"' in answer.text) == (422, True, True)
    assert client.get("/subscriptions/nobody").status_code == 404


def test_of_several_connections_the_form_lets_choose_and_keeps_what_was_typed(shop: Till, client: Client) -> None:
    contact = shop.contact("several")
    shop.customer("several")
    others = (("aaa", False), ("live", True))
    with shop.hub.engine.begin() as db:
        for name, livemode in others:
            values = {"name": name, "account": f"acct_{name}", "livemode": livemode, "rate": 25, "endpoint_rate": 25}
            accounts.save(db, values, Credentials("rk_test_1", "", ()), shop.hub.vault)
    try:
        page, here = f"/subscriptions/{contact}", shop.account.name
        assert f'<input type="hidden" name="connection" value="{here}">' in client.get(page).text, "the one it buys at"
        wish = {"action": "subscribe", "package": "pro", "interval": "month", "do": "preview"}
        shown = client.post(page, data=wish)
        assert (shown.status_code, f"of {here}<" in shown.text) == (200, True)
        assert hidden(shown.text)["connection"] == here
        gone = client.post(page, data=wish | {"connection": "gone", "currency": "<usd>"})
        assert (gone.status_code, 'value="&lt;usd&gt;"' in gone.text) == (422, True)
        assert "gone" in re.findall(r'<div class="text-red small mb-3">([^<]*)<', gone.text)[0]
        nowhere = client.get(f"/subscriptions/{shop.contact('nowhere')}?connection={here}").text
        offered = re.findall(r'<option value="([^"]*)" (selected)?', nowhere.partition('name="connection"')[2])[:2]
        assert offered == [("aaa", ""), (here, "selected")], "of the same data alone"
        assert client.get("/subscriptions/several?connection=live").status_code == 404
    finally:
        with shop.hub.engine.begin() as db:
            db.execute(text("delete from tidegate.connections where name in ('aaa', 'live')"))

"""What tests of pages with forms share: a shop with its site, and previews that are gone through with."""

import html
import re
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from cryptography.fernet import Fernet
from httpx import Client, Response
from tests.support.builders import customer, item, price, subscription
from tests.support.shop import Shop
from tests.support.visiting import sign_in, visited

from tidegate.settings import Settings
from tidegate.wiring import Hub

ADA = "ada@example.com"
BOB = "bob@example.com"


def opened_shop(shop: Shop) -> None:
    """A catalog, and Ada who has the package pro."""
    shop.settings(create_missing=True)
    shop.has({"id": "prod_1", "object": "product", "created": 10, "name": "Pro <plan>", "active": True})
    shop.catalog()
    shop.has(price(), customer(), subscription())
    shop.refresh()


def bob_buys(shop: Shop, price_: str = "price_9") -> None:
    """Bob subscribes to a price; that of the product Scale nothing maps."""
    own = price(price_, unit_amount=9_900, product="prod_9")
    shop.has(
        {"id": "prod_9", "object": "product", "created": 10, "name": "Scale", "active": True},
        own,
        customer("cus_2", email=BOB, name="Bob"),
        subscription("sub_2", [item("si_2", "sub_2", price=own)], customer="cus_2"),
    )
    shop.refresh()


@contextmanager
def site_of(shop: Shop, url: str, home: Path, scope: str = "admin") -> Generator[Client]:
    """Somebody who is signed in at the shop's site and may do what the scope is for."""
    config = Settings(home=home, database_url=url, secret_key=Fernet.generate_key().decode())  # pyright: ignore[reportArgumentType]
    hub = Hub(config, shop.engine)
    with visited(hub) as client:
        sign_in(hub, client, scope)
        yield client
    hub.close()


def hidden(page: str, action: str = "") -> dict[str, str]:
    """What the first form of a page (with an action: the first one that leads there) sends, a preview's own."""
    main = page.partition("<main")[2].partition(f'action="{action}' if action else "<form")[2].partition("</form>")[0]
    return {
        name: html.unescape(value)
        for name, value in re.findall(r'<input type="hidden" name="([^"]+)" value="([^"]*)">', main)
    }


def done(client: Client, path: str, **sent: str) -> tuple[str, Response]:
    """The preview of what a form asks for, and the answer to its button."""
    shown = client.post(path, data=sent)
    assert shown.status_code == 200, shown.text
    assert "nothing is done yet" in shown.text
    answer = client.post(path, data=hidden(shown.text))
    assert answer.status_code == 303, answer.text
    return shown.text, answer


def refused(answer: Response, field: str, said: str = "") -> None:
    """It is said beside its field what is wrong with it."""
    assert answer.status_code == 422
    assert f'id="{field}-wrong"' in answer.text, "said beside the field"
    assert said in answer.text

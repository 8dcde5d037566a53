"""A shop that is served over HTTP, as product code sees it."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Any

from cryptography.fernet import Fernet
from httpx import Client, Response
from sqlalchemy import text
from tests.support.builders import customer, subscription
from tests.support.serving import serving
from tests.support.shop import Shop

from tidegate.api.app import create_app
from tidegate.contacts import directory
from tidegate.contacts.directory import Making
from tidegate.entitlements import overrides
from tidegate.entitlements.overrides import Giving
from tidegate.security import tokens
from tidegate.settings import Settings
from tidegate.store.engine import open_engine
from tidegate.wiring import Hub
from tidegate.workflows import refresh as refreshing

ADA = "ada@example.com"


class Product(Shop):
    """A shop with the customer ada@example.com on the package pro, and a client with a token of product code."""

    def __init__(self, hub: Hub) -> None:
        super().__init__(hub.engine)
        self.hub = hub
        self.url = ""
        self.settings(create_missing=True)
        self.has(customer(), subscription())
        self.catalog()
        self.refresh()

    def client(self, *scopes: str) -> Client:
        """A client with a token of these scopes."""
        return Client(base_url=self.url, headers={"Authorization": f"Bearer {self.token(*scopes)}"}, timeout=20)

    def token(self, *scopes: str) -> str:
        with self.engine.begin() as db:
            return tokens.create(db, "test", scopes)[1]

    def consume(self, client: Client, amount: int, feature: str = "calls", ref: str = ADA, **more: Any) -> Response:
        body = {"amount": amount, **more}
        return client.post(f"/api/contacts/{ref}/entitlements/{feature}/consume", json=body)

    def left(self, client: Client, feature: str = "calls", ref: str = ADA) -> int:
        """Units that may still be used."""
        answer = client.get(f"/api/contacts/{ref}/entitlements/{feature}")
        assert answer.status_code == 200, answer.text
        return answer.json()["remaining"]

    def limit(self, feature: str, terms: Any, ref: str = ADA, **more: Any) -> int:
        """Gives the feature on these terms instead of all else."""
        with self.engine.begin() as db:
            key = directory.find(db, False, ref).key
            number = overrides.give(db, Giving(key, "ada", operation="replace", feature=feature, terms=terms, **more))
            refreshing.refresh_contacts(db, [key])
            return number

    def member(self, user: str, account: str = ADA) -> int:
        """A user that belongs to the account."""
        with self.engine.begin() as db:
            key = directory.make(db, False, Making("user", user))
            directory.join(db, directory.find(db, False, account).key, key)
            return key

    def expire(self, reservation: int) -> datetime:
        """Lets the time of a reservation be over."""
        with self.engine.begin() as db:
            return db.execute(
                text("update usage_debits set expires_at = now() - :a_second where id = :id returning expires_at"),
                {"id": reservation, "a_second": timedelta(seconds=1)},
            ).scalar_one()


@contextmanager
def sold(url: str) -> Iterator[Product]:
    """The product on this database, which has nothing else, served on a free port."""
    engine = open_engine(url, pool_size=10)
    config = Settings(database_url=url, secret_key=Fernet.generate_key().decode())  # pyright: ignore[reportArgumentType]
    hub = Hub(config, engine)
    product = Product(hub)
    try:
        with serving(create_app(hub, ring_drain=lambda _db, _connection: None)) as product.url:
            yield product
    finally:
        hub.close()
        engine.dispose()

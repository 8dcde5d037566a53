"""Destinations of a test: defined, told things, and delivered to, with a clock that a test turns forward."""

import random
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from cryptography.fernet import Fernet
from sqlalchemy import Engine, text
from tests.support.queue import connect

from tidegate.contacts import directory
from tidegate.contacts.directory import Making
from tidegate.delivery import stored
from tidegate.delivery.outbox import Told, tell
from tidegate.secrets import Vault
from tidegate.store.engine import open_engine
from tidegate.workflows.delivery.deliver import Delivered, deliver

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"


class Post:
    """A database with a test connection `acme`, and what is sent from it. `ahead`: seconds that the clock is turned."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.vault = Vault([Fernet.generate_key().decode()], "the test")
        self.environment: dict[str, str] = {}
        self.ahead = 0.0
        connect(engine, "acme")

    def destination(self, key: str, kind: str, *, livemode: bool | None = False, **said: Any) -> None:
        """Defines a destination."""
        variables = {name: value for name, value in said.items() if isinstance(value, dict) and "env" in value}
        said |= {name: self.environment[variable["env"]] for name, variable in variables.items()}
        with self.engine.begin() as db:
            stored.define(db, key, kind, said, variables=variables, vault=lambda: self.vault, livemode=livemode)

    def webhook(self, url: str, key: str = "app", **said: Any) -> None:
        """A signed webhook to a receiver on this machine."""
        self.destination(key, "webhook", **{"url": url, "secrets": [SECRET], "allow_private": True, **said})

    def contact(self, id_: str, kind: Any = "account", **said: Any) -> int:
        """A contact, by its internal key."""
        with self.engine.begin() as db:
            return directory.make(db, False, Making(kind, id_, **said))

    def tell(self, contact: int | None, numbers: Sequence[int], type_: Any = "entitlement.changed") -> None:
        """Events of a contact, numbered, each in a transaction of its own."""
        for number in numbers:
            with self.engine.begin() as db:
                tell(db, [Told(type_, {"number": number, "of": contact}, contact, None if contact else "acme")])

    def deliver(self, **options: Any) -> Delivered:
        """One turn of a worker."""

        def opened(db: Any, key: str) -> Any:
            return stored.opened(db, key, lambda: self.vault, self.environment)

        return deliver(
            self.engine, opened, ahead=self.ahead, chance=random.Random(1), **{"seconds": 20.0, **options}
        )  # fmt: skip

    def rows(self, sql: str, **values: Any) -> list[tuple[Any, ...]]:
        with self.engine.connect() as db:
            return [tuple(row) for row in db.execute(text(sql), values)]

    def run(self, sql: str, **values: Any) -> int:
        with self.engine.begin() as db:
            return db.execute(text(sql), values).rowcount

    def shown(self, key: str = "app") -> dict[str, Any]:
        with self.engine.connect() as db:
            return stored.shown(db, key)

    def waiting(self) -> int:
        return self.rows("select count(*) from tidegate.deliveries where state = 'waiting'")[0][0]


@contextmanager
def opened(url: str) -> Iterator[Post]:
    """A post on this database."""
    engine = open_engine(url)
    yield Post(engine)
    engine.dispose()

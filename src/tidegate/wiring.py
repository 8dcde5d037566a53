"""Builds the real dependencies from the settings; only entry points import it."""

import threading
from collections.abc import Generator
from contextlib import AbstractContextManager, closing, contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection, Engine

from tidegate.connections import accounts
from tidegate.connections.accounts import Account
from tidegate.connections.oauth import AccessTokens
from tidegate.errors import OAuthNotSetUp, WriteKeyMissing
from tidegate.secrets import Vault, open_vault
from tidegate.settings import Settings, environment, settings
from tidegate.store import engine as store_engine
from tidegate.store import migrate as revisions
from tidegate.store.embedded import Embedded
from tidegate.stripe_api import oauth as at_stripe
from tidegate.stripe_api.client import StripeApi, Tokens
from tidegate.stripe_api.limits import LocalBudget, SharedBudget
from tidegate.stripe_api.oauth import Granted, Registered
from tidegate.workflows.operation import migrate
from tidegate.workflows.outbound import source_reading

if TYPE_CHECKING:
    from tidegate.delivery.stored import Stored

_OPENING = threading.Lock()


@dataclass(frozen=True)
class Hub:
    """What an entry point works with: the settings, the database and the vault of one installation.

    `close` it at the end; the engine is its maker's to dispose of.
    """

    settings: Settings
    engine: Engine

    @cached_property
    def vault(self) -> Vault:
        """Opened at first need, so that commands without secrets need no key."""
        return open_vault(self.settings.secret_key.get_secret_value(), self.settings.home)

    @property
    def embedded_home(self) -> Path | None:
        """Where the embedded database is; None when another one serves."""
        return self.settings.home if self.settings.embedded else None

    @property
    def database_url(self) -> str:
        """The database's URL, with its password."""
        return self.engine.url.render_as_string(hide_password=False)

    def account(self, name: str | None = None) -> Account:
        """The connection of that name, or the only one. Raises the errors of `accounts.named`."""
        with self.engine.connect() as db:
            return accounts.named(db, name)

    def livemode(self, name: str | None = None) -> bool:
        """Whether contacts of live data are meant, or those of test data: of the named connection, or of all.

        Raises ConnectionAmbiguous where there are both and none is named: live and test never add up.
        """
        with self.engine.connect() as db:
            modes = {one.livemode for one in accounts.every(db)}
            return modes.pop() if name is None and len(modes) == 1 else accounts.named(db, name).livemode

    def livemode_if_any(self, name: str | None = None) -> bool | None:
        """The same; None where nothing is connected, so that there are no two modes to keep apart."""
        with self.engine.connect() as db:
            there = bool(accounts.every(db))
        return self.livemode(name) if there or name is not None else None

    def livemode_of_lists(self) -> bool | None:
        """What lists are of where nobody names a connection: live data where there is any. None: nothing is there."""
        with self.engine.connect() as db:
            modes = {one.livemode for one in accounts.every(db)}
        return any(modes) if modes else None

    def accounts(self) -> list[Account]:
        """Every connection that has a key."""
        with self.engine.connect() as db:
            return accounts.every(db, connected=True)

    @contextmanager
    def stripe(self, account: Account) -> Generator[StripeApi]:
        """Stripe as this connection sees it, drawing from the budget that all processes share."""
        with self.engine.connect() as db:
            key = accounts.credentials(db, account.name, self.vault).api_key
        with self._speaking(account, key, self._tokens(account) if account.oauth else None) as api:
            yield api

    @property
    def registered(self) -> Registered:
        """What is registered at Stripe, by the settings, for access by OAuth."""
        config = self.settings
        return Registered(
            config.stripe_app_client_id,
            config.stripe_app_key.get_secret_value(),
            config.stripe_app_link,
            config.stripe_connect_client_id,
            config.stripe_api_base,
        )

    def _tokens(self, account: Account) -> AccessTokens:
        """The access tokens of a connection to the Stripe App, in all threads of this process the same."""

        def renew(refresh_token: str) -> Granted:
            if not self.registered.app:
                raise OAuthNotSetUp(lacking="TIDEGATE_STRIPE_APP_CLIENT_ID and TIDEGATE_STRIPE_APP_KEY renew a token.")
            way = at_stripe.app(account.api_base)
            with open_by_key(self.registered.app_key, way.base) as api:
                return at_stripe.renew(api, way, refresh_token)

        return AccessTokens(self.engine, self.vault, account.name, renew)

    @contextmanager
    def stripe_writing(self, account: Account) -> Generator[StripeApi]:
        """The same with the key that may write. Raises WriteKeyMissing."""
        with self.engine.connect() as db:
            key = accounts.credentials(db, account.name, self.vault).write_key
        if not key:
            raise WriteKeyMissing(connection=account.platform or account.name)
        with self._speaking(account, key) as api:
            yield api

    def source_url(self, source: Any) -> str:
        """The URL of a stored source, with its password. Raises SourceUnreachable and SecretKeyLost."""
        return source_reading.url_of(source, lambda: self.vault, environment())

    def destination(self, db: Connection, key: str) -> "Stored":
        """A destination with its secrets. Raises the errors of `stored.opened`."""
        from tidegate.delivery import stored  # half a second, which a hub without destinations has no use for

        return stored.opened(db, key, lambda: self.vault, environment())

    @contextmanager
    def _speaking(self, account: Account, key: str, tokens: Tokens | None = None) -> Generator[StripeApi]:
        with self.engine.connect() as db:
            rate, endpoint_rate = accounts.rates(db, account)
        with _OPENING:
            budget = SharedBudget(self._slots, account.budget, rate, endpoint_rate)
        acted_for = account.account if account.platform else None
        api = StripeApi(key, base=account.api_base or None, budget=budget, stripe_account=acted_for, tokens=tokens)
        try:
            yield api
        finally:
            api.close()

    @cached_property
    def _slots(self) -> Engine:
        """One connection for the reservations of the whole process, each of which is over in a moment.

        Apart from the engine: whoever waits for a slot must not queue behind those who store what they got.
        """
        return store_engine.open_engine(self.database_url, pool_size=1, application="tidegate budget")

    @cached_property
    def desk(self) -> Engine:
        """Two connections for what product code asks: one for checks, one for usage."""
        return store_engine.open_engine(self.database_url, pool_size=2, application="tidegate desk", point_queries=True)

    @cached_property
    def turns(self) -> Engine:
        """Two connections for who waits for the turn to change what they have read: nobody else waits with them."""
        return store_engine.open_engine(self.database_url, pool_size=2, application="tidegate turns")

    def close(self) -> None:
        """Closes what the hub itself has opened."""
        with _OPENING:
            for name in ("_slots", "desk", "turns"):
                if opened := self.__dict__.pop(name, None):
                    opened.dispose()


def open_by_key(key: str, base: str | None) -> AbstractContextManager[StripeApi]:
    """Stripe with a key that belongs to no connection, or not yet."""
    return closing(StripeApi(key, base=base, budget=LocalBudget()))


@contextmanager
def open_hub(
    config: Settings | None = None, *, pool_size: int = 8, application: str = "tidegate", may_migrate: bool = True
) -> Generator[Hub]:
    """The hub of this installation: starts or joins the embedded server, checks the schema.

    An embedded database is migrated whenever it is behind; another one only where the command writes (`may_migrate`),
    else MigrationNeeded is raised. Raises DatabaseUnreachable and the other errors of the database.
    """
    config = config or settings()
    server = Embedded(config.home).start() if config.embedded else None
    engine = store_engine.open_engine(
        server.url() if server else config.database_url, pool_size=pool_size, application=application
    )
    try:
        store_engine.check(engine)
        if not server:
            store_engine.refuse_transaction_pooling(engine)
        if server or may_migrate:
            if not migrate.is_current(engine):
                migrate.migrate(engine)
        else:
            revisions.require_current(engine)
        hub = Hub(config, engine)
        try:
            yield hub
        finally:
            hub.close()
    finally:
        engine.dispose()
        if server:
            server.stop()

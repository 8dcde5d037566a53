"""Access by OAuth: who was sent to Stripe to give it, and the tokens that it is used by, renewed before they end."""

import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

from sqlalchemy import Connection, Engine, delete, func, insert, select, text, update

from tidegate.connections import sealing
from tidegate.connections.tables import connections, oauth_states
from tidegate.errors import ConnectionDisconnected, OAuthRefused, StripeAccessRevoked, StripeRefused
from tidegate.secrets import Vault
from tidegate.security.digests import digest, secret
from tidegate.stripe_api.oauth import TOKEN_LASTS, Granted

STATE_LASTS = timedelta(minutes=10)
AHEAD = timedelta(minutes=5)
"""So long before its end a token is renewed."""


class Sent(NamedTuple):
    """What goes along to Stripe and comes back, and the cookie that only the browser which was sent has."""

    state: str
    cookie: str


class Begun(NamedTuple):
    """Who was sent: their session's id, and the connection of the platform (None: the Stripe App)."""

    session: int
    platform: str | None


def send(db: Connection, session: int, platform: str | None) -> Sent:
    """Notes that somebody is sent to Stripe; those who never came back are forgotten."""
    db.execute(delete(oauth_states).where(oauth_states.c.expires_at < func.now()))
    sent = Sent(secret(), secret())
    values = {"digest": digest(sent.state), "browser": digest(sent.cookie), "session": session, "platform": platform}
    db.execute(insert(oauth_states).values(**values, expires_at=func.now() + STATE_LASTS))
    return sent


def come_back(db: Connection, state: str, cookie: str) -> Begun:
    """Who comes back with this state: it is good once, for ten minutes, and in the browser that was sent.

    Raises OAuthRefused.
    """
    theirs = oauth_states.c.digest == digest(state), oauth_states.c.browser == digest(cookie)
    found = db.execute(
        delete(oauth_states)
        .where(*theirs, oauth_states.c.expires_at > func.now())
        .returning(oauth_states.c.session, oauth_states.c.platform)
    ).first()
    if found is None:
        raise OAuthRefused(
            problem="nobody was sent to Stripe from this browser within ten minutes, or came back already."
        )
    return Begun(*found)


class AccessTokens:
    """The tokens of one connection, for `StripeApi`; whichever process finds that one ends renews it, once for all.

    `renew` exchanges a refresh token. A refresh token is spent by its use: should the database be lost between Stripe's
    answer and the commit, the account gives access anew.
    """

    def __init__(self, engine: Engine, vault: Vault, connection: str, renew: Callable[[str], Granted]) -> None:
        self._engine = engine
        self._vault = vault
        self._connection = connection
        self._exchange = renew
        self._lock = threading.Lock()
        self._token = ""
        self._ends_at = datetime.min.replace(tzinfo=UTC)

    def current(self) -> str:
        """One that is good for some minutes. Raises StripeAccessRevoked, ConnectionDisconnected."""
        with self._lock:
            if not _good(self._ends_at):
                self._renew("")
            return self._token

    def renewed(self, refused: str) -> str:
        """Another than the one that Stripe refused. Raises StripeAccessRevoked, ConnectionDisconnected."""
        with self._lock:
            if self._token == refused:
                self._renew(refused)
            return self._token

    def _renew(self, refused: str) -> None:
        with self._engine.begin() as db:
            sealing.hold_key(db)
            lock = text("select pg_advisory_xact_lock(hashtextextended(:key, 0))")
            db.execute(lock, {"key": f"oauth:{self._connection}"})
            columns = connections.c.api_key, connections.c.refresh_token, connections.c.token_ends_at
            row = db.execute(select(*columns).where(connections.c.name == self._connection)).first()
            if row is None or row.api_key is None or row.refresh_token is None:
                raise ConnectionDisconnected(name=self._connection)
            stored = self._vault.open(row.api_key, self._connection)
            if stored != refused and _good(row.token_ends_at):  # another process was first
                self._token, self._ends_at = stored, row.token_ends_at
                return
            granted = self._asked(self._vault.open(row.refresh_token, self._connection))
            self._token, self._ends_at = granted.access_token, datetime.now(UTC) + TOKEN_LASTS
            values: dict[str, Any] = {
                "api_key": self._vault.seal(granted.access_token),
                "token_ends_at": self._ends_at,
            }
            if granted.refresh_token:
                values["refresh_token"] = self._vault.seal(granted.refresh_token)
            db.execute(update(connections).where(connections.c.name == self._connection).values(**values))

    def _asked(self, refresh_token: str) -> Granted:
        try:
            return self._exchange(refresh_token)
        except StripeRefused as error:
            if error.facts["code"] != "invalid_grant":
                raise
            raise StripeAccessRevoked(**error.facts) from error


def _good(ends_at: datetime) -> bool:
    return ends_at - datetime.now(UTC) > AHEAD

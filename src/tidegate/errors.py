"""Every error Tidegate raises on purpose: what happened, where, and how to mend it.

TidegateError
├── UsageError                     the caller can mend it (exit 2)
│   ├── ConfigurationError
│   │   ├── SecretKeyLost
│   │   ├── EmbeddedServerError
│   │   │   └── EmbeddedServerFull  (exit 3)
│   │   ├── DatabaseTooOld
│   │   ├── TransactionPooling
│   │   ├── MigrationNeeded
│   │   ├── SchemaTooNew
│   │   ├── AssetMissing
│   │   └── PortTaken
│   ├── ConnectionUnknown
│   ├── ConnectionAmbiguous
│   ├── ConnectionMissing
│   │   └── ConnectionDisconnected
│   ├── OtherAccount
│   ├── ResourceUnknown
│   ├── ResourceNotListed
│   ├── EventUnknown
│   ├── NotReadOnly
│   ├── ReaderRefused
│   ├── QueryRefused
│   ├── RunUnknown
│   ├── EventRefused
│   ├── BodyTooLarge
│   ├── ScopeUnknown
│   ├── TokenUnknown
│   ├── TokenRefused
│   │   └── ScopeMissing
│   ├── ContactUnknown
│   ├── ContactAmbiguous
│   ├── ContactExists
│   ├── ContactInvalid
│   ├── ContactSettingsInvalid
│   ├── ContactFileInvalid
│   ├── CustomerUnknown
│   ├── ReviewUnknown
│   ├── ChangeUnknown
│   ├── CatalogUnknown
│   ├── CatalogInvalid
│   │   └── TermsInvalid
│   ├── ManagedByFile
│   ├── ConfigInvalid
│   ├── PreviewNeeded
│   ├── PreviewStale
│   ├── WriteKeyMissing
│   └── UsageInvalid
├── FoundWrong                     the work was done and something is wrong (exit 1)
│   ├── ImportIncomplete
│   └── ImportRunning
│       ├── CatchUpRunning
│       ├── ImportTakenOver
│       └── SweepRunning
├── DatabaseBusy                   other transactions held what was to be written
│   └── ContactsBusy               another command changes contacts
├── Unreachable                    Stripe or the database (exit 3)
│   ├── DatabaseUnreachable
│   ├── DatabaseFull
│   ├── EmbeddedServerLost
│   ├── HubBusy
│   ├── InboxBusy
│   └── StripeUnreachable
│       └── StripeCertificateRefused
├── StripeRefused                  Stripe answered, with an error
│   ├── StripeKeyInvalid           (exit 3)
│   │   ├── StripeKeyRefused
│   │   └── StripeAccessRevoked
│   ├── StripePermissionMissing
│   ├── StripeObjectMissing
│   ├── StripeEndpointMissing
│   ├── StripeCursorGone
│   └── StripeRateLimited
├── WorkStopped                    asked to stop while it waited for Stripe
├── StripeModeWrong                an answer of the other mode, live or test (exit 2)
├── StripeBodyUnreadable           a 2xx whose body is cut off or no JSON
└── SignatureInvalid               a webhook that Stripe did not sign

An error's docstring is its message; words in braces are filled with the keyword arguments it is raised with.
"""

from inspect import cleandoc
from typing import Any


class TidegateError(Exception):
    """Something went wrong."""

    def __init__(self, **facts: Any) -> None:
        self.facts = facts
        super().__init__(facts)

    def __str__(self) -> str:
        return " ".join(cleandoc(type(self).__doc__ or "").format_map(self.facts).split())

    def __reduce__(self) -> tuple[Any, ...]:
        return (_rebuild, (type(self), self.facts))


def passes(error: TidegateError) -> bool:
    """Whether the trouble may end by itself, so that trying again later makes sense."""
    busy = isinstance(error, StripeRefused) and int(error.facts.get("status", 0)) >= 500
    return busy or isinstance(error, DatabaseBusy | Unreachable | StripeRateLimited | StripeBodyUnreadable)


def refusal(error: TidegateError) -> str:
    """Why Stripe refuses a list for as long as nobody changes anything: `permission_missing` or `refused`; empty for
    any other trouble.
    """
    if isinstance(error, StripePermissionMissing):
        return "permission_missing"
    about_objects = isinstance(error, StripeCursorGone | StripeObjectMissing | StripeKeyInvalid)
    return "refused" if isinstance(error, StripeRefused) and not about_objects and not passes(error) else ""


def _rebuild(kind: type[TidegateError], facts: dict[str, Any]) -> TidegateError:
    return kind(**facts)


class UsageError(TidegateError):
    """{problem}"""


class ConfigurationError(UsageError):
    """{problem}"""


class SecretKeyLost(ConfigurationError):
    """The stored credential of {what} cannot be decrypted with the secret key of {file}. If that was changed, or
    TIDEGATE_SECRET_KEY was set or unset since, put the old key back; if it is lost, run
    `tidegate connect --name {what}` with the Stripe key again: nothing else depends on it.
    """


class EmbeddedServerError(ConfigurationError):
    """The embedded PostgreSQL under {home} could not be used: {problem} {remedy}"""


class EmbeddedServerFull(EmbeddedServerError):
    """The embedded PostgreSQL under {home} has no room on its disk: {problem} Make room there, or move the folder to a
    larger disk and set TIDEGATE_HOME. What was stored stays, and the next command goes on with it.
    """


class DatabaseTooOld(ConfigurationError):
    """The database is PostgreSQL {version}; Tidegate needs 15 or newer. Point DATABASE_URL at a newer server, or
    unset it to use the embedded one.
    """


class TransactionPooling(ConfigurationError):
    """The database at {url} is reached through a transaction-pooling proxy, which loses locks and temporary tables
    between statements. Point DATABASE_URL at the server itself or at a session-pooled port.
    """


class MigrationNeeded(ConfigurationError):
    """The database schema is at {found}, this program needs {wanted}. Run `tidegate migrate`."""


class SchemaTooNew(ConfigurationError):
    """The database was migrated by a newer Tidegate (it asks for {oldest_code} or newer, this is {version}). Upgrade
    this installation.
    """


class AssetMissing(ConfigurationError):
    """The page's assets are not built: {path} is missing. Run `make assets`, or install a released package, which
    contains them.
    """


class PortTaken(ConfigurationError):
    """The address {host}:{port} cannot be served: {problem}. Choose another with `--host` and `--port`, or set
    TIDEGATE_HOST and TIDEGATE_PORT.
    """


class ConnectionUnknown(UsageError):
    """There is no connection named {name}. Known: {known}."""


class ConnectionAmbiguous(UsageError):
    """There are several connections: {known}. Say which with `--connection NAME`."""


class ConnectionMissing(UsageError):
    """No Stripe account is connected yet. Run `tidegate connect`, or `tidegate demo` to look around without a key."""


class ConnectionDisconnected(ConnectionMissing):
    """The connection {name} is disconnected: its key was erased. Run `tidegate connect --name {name}` with a key to
    go on.
    """


class OtherAccount(UsageError):
    """The connection {name} belongs to the Stripe account {known}; this key belongs to {found}. Use another --name
    for it.
    """


class ResourceUnknown(UsageError):
    """There is no resource named {name}.{nearest} Known: {known}."""


class ResourceNotListed(UsageError):
    """{name} cannot be imported by themselves: {reason}"""


class EventUnknown(UsageError):
    """There is no event {event} in the inbox of {connection}."""


class NotReadOnly(UsageError):
    """Only reading is allowed here: {problem}"""


class ReaderRefused(UsageError):
    """No log-in with the rights of the role tidegate_reader can be had: {problem}"""


class QueryRefused(UsageError):
    """The query failed: {problem}"""


class RunUnknown(UsageError):
    """There is no run {id}."""


class EventRefused(UsageError):
    """This body is no event for the connection {connection}: {problem}"""


class BodyTooLarge(UsageError):
    """The body is larger than the {limit} bytes that are taken; TIDEGATE_WEBHOOK_MAX_BYTES says so for webhooks."""


class ScopeUnknown(UsageError):
    """There is no scope named {scope}. Known: {known}."""


class TokenUnknown(UsageError):
    """There is no token {id} that could be revoked. `tidegate tokens list` shows all."""


class TokenRefused(UsageError):
    """{problem}"""


class ScopeMissing(TokenRefused):
    """This needs a token with the scope {needed}; the token {name} has {scopes}. Make one with `tidegate tokens create
    --scope {needed}`."""


class ContactUnknown(UsageError):
    """There is no contact {contact}. `tidegate contacts list` shows all."""


class ContactAmbiguous(UsageError):
    """The id {contact} is that of several contacts. Say which: {known}."""


class ContactExists(UsageError):
    """The id {contact} belongs to another contact. Merge the two with `tidegate contacts merge`, or choose
    another id.
    """


class ContactInvalid(UsageError):
    """The contact cannot be taken: {problem}."""


class ContactSettingsInvalid(UsageError):
    """The contact settings cannot be taken: {problem}."""


class ContactFileInvalid(UsageError):
    """Nothing of {file} was taken, because {count} of its lines cannot be: {problems}"""


class CustomerUnknown(UsageError):
    """The mirror of {connection} has no customer {customer}. Check the id; `tidegate contacts refresh --customer
    {customer}` fetches one that is new.
    """


class ReviewUnknown(UsageError):
    """The customer {customer} of {connection} does not wait for a review. `tidegate contacts review list` shows who
    does.
    """


class ChangeUnknown(UsageError):
    """The {action} {number} cannot be undone: {problem}"""


class CatalogUnknown(UsageError):
    """There is no {what} {key}.{nearest} `tidegate {list} list` shows all."""


class CatalogInvalid(UsageError):
    """{problem}"""


class TermsInvalid(CatalogInvalid):
    """What {where} says of the feature {feature} cannot be taken: {problem}"""


class ManagedByFile(UsageError):
    """{what} is managed by tidegate.yaml: change it there and run `tidegate config apply`."""


class ConfigInvalid(UsageError):
    """{file} cannot be taken: {problem}"""


class WriteKeyMissing(UsageError):
    """The connection {connection} has no key that may write to Stripe. Make a restricted key that may write products
    and prices, and give it with `tidegate connect --name {connection} --api-key - --write-key -`, both keys on stdin.
    """


class PreviewNeeded(UsageError):
    """This changes what {count} contacts may use, so nothing was done. Look at the preview first (`--preview`, over
    HTTP `?preview=true`), and do it with the token it shows.
    """


class PreviewStale(UsageError):
    """The facts changed since the preview was made, so nothing was done. Look at the preview again: {problem}"""


class UsageInvalid(UsageError):
    """The usage cannot be counted: {problem}"""


class FoundWrong(TidegateError):
    """{problem}"""


class ImportIncomplete(FoundWrong):
    """The import of {connection} is not complete: {problem}. What was read is stored; run `tidegate import` again to
    go on from there.
    """


class ImportRunning(FoundWrong):
    """Another process is importing {connection} right now. `tidegate status` shows how far it is; it goes on by
    itself.
    """


class ImportTakenOver(ImportRunning):
    """Another process goes on with the import of {connection}: this one had lost its lock, with its database session.
    Nothing is lost; `tidegate status` shows how far it is.
    """


class CatchUpRunning(ImportRunning):
    """Another process is reading the events of {connection} right now; there is nothing to do."""


class SweepRunning(ImportRunning):
    """Another process is sweeping {connection} right now: it reads every list again, as `tidegate import --full` does.
    `tidegate status` shows what it came to.
    """


class DatabaseBusy(TidegateError):
    """The database could not store {what}: {problem} (tried {tries} times). Another session holds these rows locked;
    `select * from pg_stat_activity` shows which. What was stored until then stays, and the work goes on when it is
    tried again.
    """


class ContactsBusy(DatabaseBusy):
    """Contacts are being changed by another command, which takes its time, so nothing was done. Try again in a moment;
    `tidegate status` and `select * from pg_stat_activity` show what runs.
    """


class Unreachable(TidegateError):
    """{what} could not be reached: {problem}"""


class DatabaseUnreachable(Unreachable):
    """The database at {url} could not be reached: {problem}. Check that the server runs and that DATABASE_URL is
    right.
    """


class DatabaseFull(Unreachable):
    """The database at {url} has no room on its disk: {problem}. Make room there and run the command again: what was
    stored stays, and it goes on from there.
    """


class EmbeddedServerLost(Unreachable):
    """The embedded PostgreSQL under {home} was lost: {problem}. {remedy} What was stored stays, and the next command
    starts it again.
    """


class HubBusy(Unreachable):
    """The request was not taken: {problem}. Nothing was done; send it again."""


class InboxBusy(Unreachable):
    """The inbox could not take the event: {problem}. It was not stored; send it again."""


class StripeUnreachable(Unreachable):
    """Stripe could not be reached at {endpoint}: {problem} (tried {tries} times). Check the network and `--api-base`;
    the work goes on from where it stopped when it is run again.
    """


class StripeCertificateRefused(StripeUnreachable):
    """The certificate of what answers at {endpoint} is not valid, so nothing was sent there: {problem}. {remedy} The
    work goes on from where it stopped when it is run again.
    """


class StripeRefused(TidegateError):
    """Stripe refused {endpoint} with {status} ({code}): {message} Request id: {request_id}."""


class StripeKeyInvalid(StripeRefused):
    """Stripe does not accept the key of this connection ({status} at {endpoint}: {message}). Make a new key in Stripe's
    dashboard and run `tidegate connect` again with the same --name. Request id: {request_id}."""


class StripeKeyRefused(StripeKeyInvalid):
    """Stripe does not accept this key ({status} at {endpoint}: {message}), so nothing was stored. Look whether it was
    copied whole and still stands under Developers, API keys in Stripe's dashboard. Request id: {request_id}."""


class StripeAccessRevoked(StripeKeyInvalid):
    """The account took back the access that it had given to this key's platform ({status} at {endpoint}: {message}).
    Let the account's owner connect it to the platform again, in Stripe's Connect. Request id: {request_id}.
    """


class StripePermissionMissing(StripeRefused):
    """The key may not do {endpoint}: {message} Give the restricted key that permission in Stripe's dashboard; until
    then a list is left out and the rest is kept current. Request id: {request_id}.
    """


class StripeObjectMissing(StripeRefused):
    """Stripe has no such object at {endpoint}: {message} Request id: {request_id}."""


class StripeEndpointMissing(StripeRefused):
    """What answers at {endpoint} knows no such path: {message} Is the address that of Stripe's API, and no proxy's?
    Request id: {request_id}."""


class StripeCursorGone(StripeRefused):
    """The object that the list at {endpoint} was to continue after no longer exists: {message} Request id:
    {request_id}.
    """


class StripeRateLimited(StripeRefused):
    """Stripe kept answering 429 at {endpoint} (tried {tries} times): {message} Lower `--rate`, or wait. Request id:
    {request_id}."""


class WorkStopped(TidegateError):
    """The work was asked to stop while it waited for its turn at {endpoint}. What was stored stays, and it goes on from
    there the next time.
    """


class StripeModeWrong(TidegateError):
    """What answers at {endpoint} shows {found}-mode data ({what}), and the key is one of {wanted} mode: nothing of it
    was stored. Check the connection's key and `--api-base`, and what stands between here and Stripe.
    """


class StripeBodyUnreadable(TidegateError):
    """Stripe's answer at {endpoint} could not be read: {problem} (tried {tries} times). Request id: {request_id}."""


class SignatureInvalid(TidegateError):
    """The webhook's signature does not fit: {problem}. Check that the connection's webhook secret is that of this
    endpoint.
    """


OUTCOMES: dict[type[TidegateError], tuple[int, int]] = {
    # error: (exit code, HTTP status); a class without a row takes its parent's
    TidegateError: (1, 500),
    UsageError: (2, 422),
    ConfigurationError: (2, 503),
    EmbeddedServerFull: (3, 503),
    ConnectionUnknown: (2, 404),
    ConnectionMissing: (2, 404),
    ResourceUnknown: (2, 404),
    RunUnknown: (2, 404),
    ContactUnknown: (2, 404),
    ContactAmbiguous: (2, 409),
    ContactExists: (2, 409),
    CustomerUnknown: (2, 404),
    ReviewUnknown: (2, 404),
    ChangeUnknown: (2, 404),
    CatalogUnknown: (2, 404),
    ManagedByFile: (2, 409),
    PreviewNeeded: (2, 409),
    PreviewStale: (2, 409),
    EventRefused: (2, 400),
    BodyTooLarge: (2, 413),
    EventUnknown: (2, 404),
    TokenUnknown: (2, 404),
    TokenRefused: (2, 401),
    ScopeMissing: (2, 403),
    FoundWrong: (1, 409),
    DatabaseBusy: (1, 503),
    Unreachable: (3, 503),
    StripeRefused: (1, 502),
    StripeKeyInvalid: (3, 502),
    StripeModeWrong: (2, 502),
    StripeRateLimited: (3, 503),
    StripeBodyUnreadable: (3, 502),
    SignatureInvalid: (2, 400),
}


ENDS_THE_WORK = (StripeKeyInvalid, StripeModeWrong, Unreachable, WorkStopped)
"""What makes all further work on a connection useless; other errors concern one list or one object."""


def outcome(error: TidegateError) -> tuple[int, int]:
    """The exit code and the HTTP status of an error, its own or its nearest parent's."""
    return next(OUTCOMES[kind] for kind in type(error).__mro__ if kind in OUTCOMES)

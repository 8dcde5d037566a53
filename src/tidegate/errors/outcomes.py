"""What each error ends a command with, and answers a request with."""

from tidegate.errors.base import FoundWrong, TidegateError, Unreachable, UsageError
from tidegate.errors.catalog import CatalogUnknown, ManagedByFile
from tidegate.errors.connections import ConnectionMissing, ConnectionUnknown, OAuthNotSetUp, OAuthRefused, RunUnknown
from tidegate.errors.contacts import ChangeUnknown, ContactAmbiguous, ContactExists, ContactUnknown, ReviewUnknown
from tidegate.errors.database import DatabaseBusy, EmbeddedServerFull
from tidegate.errors.delivery import DeliveryUnknown, DestinationUnknown
from tidegate.errors.entitlements import PreviewNeeded, PreviewStale
from tidegate.errors.installation import ConfigurationError
from tidegate.errors.lifecycle import ActionUnknown, AlertUnknown, NoteUnknown, OwnerUnknown, TaskUnknown
from tidegate.errors.mirror import (
    BodyTooLarge,
    CustomerUnknown,
    EventRefused,
    EventUnknown,
    ObjectUnknown,
    ResourceUnknown,
    SignatureInvalid,
)
from tidegate.errors.outbound import OutboundInUse, PlanStale, SyncUnknown
from tidegate.errors.revenue import LedgerMissing, ReportUnread
from tidegate.errors.security import (
    IdempotencyPending,
    LastAdmin,
    LinkSpent,
    NotInvited,
    PreconditionFailed,
    ScopeMissing,
    SignInFailed,
    TokenRefused,
    TokenUnknown,
    UserExists,
    UserUnknown,
    ViewUnknown,
)
from tidegate.errors.selling import PaymentRefused, SaleRefused
from tidegate.errors.stripe import (
    StripeBodyUnreadable,
    StripeKeyInvalid,
    StripeModeWrong,
    StripeRateLimited,
    StripeRefused,
)

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
    OAuthNotSetUp: (2, 501),
    OAuthRefused: (2, 400),
    ContactUnknown: (2, 404),
    LedgerMissing: (2, 404),
    ContactAmbiguous: (2, 409),
    ContactExists: (2, 409),
    CustomerUnknown: (2, 404),
    ReviewUnknown: (2, 404),
    ChangeUnknown: (2, 404),
    CatalogUnknown: (2, 404),
    AlertUnknown: (2, 404),
    ActionUnknown: (2, 404),
    OwnerUnknown: (2, 404),
    NoteUnknown: (2, 404),
    TaskUnknown: (2, 404),
    ManagedByFile: (2, 409),
    PreviewNeeded: (2, 409),
    PreviewStale: (2, 409),
    SyncUnknown: (2, 404),
    DestinationUnknown: (2, 404),
    DeliveryUnknown: (2, 404),
    PlanStale: (2, 409),
    OutboundInUse: (2, 409),
    SaleRefused: (2, 409),
    PaymentRefused: (1, 402),
    EventRefused: (2, 400),
    BodyTooLarge: (2, 413),
    ObjectUnknown: (2, 404),
    EventUnknown: (2, 404),
    TokenUnknown: (2, 404),
    TokenRefused: (2, 401),
    ScopeMissing: (2, 403),
    UserExists: (2, 409),
    UserUnknown: (2, 404),
    ViewUnknown: (2, 404),
    LastAdmin: (2, 409),
    LinkSpent: (2, 410),
    NotInvited: (2, 403),
    SignInFailed: (2, 403),
    IdempotencyPending: (2, 409),
    PreconditionFailed: (2, 412),
    FoundWrong: (1, 409),
    DatabaseBusy: (1, 503),
    ReportUnread: (1, 503),
    Unreachable: (3, 503),
    StripeRefused: (1, 502),
    StripeKeyInvalid: (3, 502),
    StripeModeWrong: (2, 502),
    StripeRateLimited: (3, 503),
    StripeBodyUnreadable: (3, 502),
    SignatureInvalid: (2, 400),
}


def outcome(error: TidegateError) -> tuple[int, int]:
    """The exit code and the HTTP status of an error, its own or its nearest parent's."""
    return next(OUTCOMES[kind] for kind in type(error).__mro__ if kind in OUTCOMES)

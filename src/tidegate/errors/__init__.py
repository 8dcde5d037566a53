"""Every error Tidegate raises on purpose: what happened, where, and how to mend it.

TidegateError
├── UsageError                     the caller can mend it (exit 2)
│   ├── TextInvalid
│   ├── CatalogUnknown
│   ├── CatalogInvalid
│   │   └── TermsInvalid
│   ├── ManagedByFile
│   ├── ConfigInvalid
│   ├── ConnectionUnknown
│   ├── ConnectionAmbiguous
│   ├── ConnectionMissing
│   │   └── ConnectionDisconnected
│   ├── OtherAccount
│   ├── WriteKeyMissing
│   ├── OAuthNotSetUp
│   ├── OAuthRefused
│   ├── RunUnknown
│   ├── ContactUnknown
│   ├── ContactAmbiguous
│   ├── ContactExists
│   ├── ContactInvalid
│   ├── ContactSettingsInvalid
│   ├── ContactFileInvalid
│   ├── ReviewUnknown
│   ├── ChangeUnknown
│   ├── ConfigurationError
│   │   ├── SecretKeyLost
│   │   ├── AssetMissing
│   │   ├── PortTaken
│   │   ├── PostgresProgramsMissing
│   │   ├── EmbeddedServerError
│   │   │   └── EmbeddedServerFull  (exit 3)
│   │   ├── DatabaseTooOld
│   │   ├── TransactionPooling
│   │   ├── MigrationNeeded
│   │   └── SchemaTooNew
│   ├── BackupUnreadable
│   ├── RestoreRefused
│   ├── NotReadOnly
│   ├── ReaderRefused
│   ├── QueryRefused
│   ├── PreviewNeeded
│   │   └── SalePreviewNeeded
│   ├── PreviewStale
│   ├── UsageInvalid
│   ├── PolicyInvalid
│   ├── SubscriptionInvalid
│   ├── LedgerMissing
│   ├── ReportInvalid
│   ├── RatesInvalid
│   ├── ClosingRefused
│   ├── MonthOpen
│   ├── ExclusionInvalid
│   ├── ExportUnreadable
│   ├── EngineInvalid
│   ├── SyncInvalid
│   ├── SyncUnknown
│   ├── ModelInvalid
│   ├── PlanStale
│   ├── RowsUnknown
│   ├── RunNotReverted
│   ├── SaleInvalid
│   ├── SaleRefused
│   ├── OutboundInUse
│   ├── LifecycleInvalid
│   ├── AlertUnknown
│   ├── ActionInvalid
│   ├── ActionUnknown
│   ├── OwnerUnknown
│   ├── NoteUnknown
│   ├── TaskUnknown
│   ├── DestinationInvalid
│   ├── DestinationUnknown
│   ├── DeliveryUnknown
│   ├── AddressRefused
│   ├── ResourceUnknown
│   ├── ResourceNotListed
│   ├── CustomerUnknown
│   ├── ObjectUnknown
│   ├── EventUnknown
│   ├── EventRefused
│   ├── BodyTooLarge
│   ├── ScopeUnknown
│   ├── TokenUnknown
│   ├── UserInvalid
│   ├── UserExists
│   ├── UserUnknown
│   ├── SignInFailed
│   ├── NotInvited
│   ├── ViewUnknown
│   ├── LastAdmin
│   ├── LinkSpent
│   ├── IdempotencyKeyInvalid
│   ├── IdempotencyKeyReused
│   ├── IdempotencyPending
│   ├── PreconditionFailed
│   └── TokenRefused
│       └── ScopeMissing
├── FoundWrong                     the work was done and something is wrong (exit 1)
│   ├── ImportIncomplete
│   ├── DestinationRefused
│   ├── ModelRowsInvalid
│   ├── MirrorIncomplete
│   ├── OutboundPaused
│   ├── PaymentRefused
│   ├── CustomerBusy
│   ├── SaleRunning
│   ├── SaleUnsettled
│   ├── SyncStopped
│   ├── SyncRunning
│   │   ├── OutboundBusy
│   │   └── SyncTakenOver
│   └── ImportRunning
│       ├── ImportTakenOver
│       ├── CatchUpRunning
│       └── SweepRunning
├── Unreachable                    Stripe or the database (exit 3)
│   ├── HubBusy
│   ├── EmbeddedServerLost
│   ├── DatabaseUnreachable
│   ├── DatabaseFull
│   ├── InboxBusy
│   ├── DestinationUnreachable
│   ├── SourceUnreachable
│   └── StripeUnreachable
│       └── StripeCertificateRefused
├── BackupFailed
├── RestoreFailed                  nothing was changed
├── EngineFailed                   what derives an exported ledger gave up
├── DatabaseBusy                   other transactions held what was to be written
│   └── ContactsBusy               another command changes contacts
├── ReportUnread                   a worker reads it, as it takes long
├── SignatureInvalid               a webhook that Stripe did not sign
├── StripeRefused                  Stripe answered, with an error
│   ├── StripeKeyInvalid           (exit 3)
│   │   ├── StripeKeyRefused
│   │   └── StripeAccessRevoked
│   ├── StripePermissionMissing
│   │   ├── StripeAccountHidden
│   │   └── WritePermissionMissing
│   ├── StripeObjectMissing
│   ├── StripeEndpointMissing
│   ├── StripeCursorGone
│   └── StripeRateLimited
├── WorkStopped                    asked to stop while it waited for Stripe
├── StripeModeWrong                an answer of the other mode, live or test (exit 2)
└── StripeBodyUnreadable           a 2xx whose body is cut off or no JSON

An error's docstring is its message; words in braces are filled with the keyword arguments it is raised with.
Each domain has a module; `outcomes` is the one table of exit codes and HTTP statuses.
"""

from tidegate.errors.base import FoundWrong, TextInvalid, TidegateError, Unreachable, UsageError
from tidegate.errors.catalog import CatalogInvalid, CatalogUnknown, ConfigInvalid, ManagedByFile, TermsInvalid
from tidegate.errors.connections import (
    CatchUpRunning,
    ConnectionAmbiguous,
    ConnectionDisconnected,
    ConnectionMissing,
    ConnectionUnknown,
    ImportIncomplete,
    ImportRunning,
    ImportTakenOver,
    OAuthNotSetUp,
    OAuthRefused,
    OtherAccount,
    RunUnknown,
    SweepRunning,
    WriteKeyMissing,
)
from tidegate.errors.contacts import (
    ChangeUnknown,
    ContactAmbiguous,
    ContactExists,
    ContactFileInvalid,
    ContactInvalid,
    ContactSettingsInvalid,
    ContactUnknown,
    ReviewUnknown,
)
from tidegate.errors.database import (
    ContactsBusy,
    DatabaseBusy,
    DatabaseFull,
    DatabaseTooOld,
    DatabaseUnreachable,
    EmbeddedServerError,
    EmbeddedServerFull,
    EmbeddedServerLost,
    MigrationNeeded,
    NotReadOnly,
    QueryRefused,
    ReaderRefused,
    SchemaTooNew,
    TransactionPooling,
)
from tidegate.errors.delivery import (
    AddressRefused,
    DeliveryUnknown,
    DestinationInvalid,
    DestinationRefused,
    DestinationUnknown,
    DestinationUnreachable,
)
from tidegate.errors.entitlements import PreviewNeeded, PreviewStale, UsageInvalid
from tidegate.errors.installation import (
    AssetMissing,
    BackupFailed,
    BackupUnreadable,
    ConfigurationError,
    HubBusy,
    PortTaken,
    PostgresProgramsMissing,
    RestoreFailed,
    RestoreRefused,
    SecretKeyLost,
)
from tidegate.errors.lifecycle import (
    ActionInvalid,
    ActionUnknown,
    AlertUnknown,
    LifecycleInvalid,
    NoteUnknown,
    OwnerUnknown,
    TaskUnknown,
)
from tidegate.errors.mirror import (
    BodyTooLarge,
    CustomerUnknown,
    EventRefused,
    EventUnknown,
    InboxBusy,
    ObjectUnknown,
    ResourceNotListed,
    ResourceUnknown,
    SignatureInvalid,
)
from tidegate.errors.outbound import (
    MirrorIncomplete,
    ModelInvalid,
    ModelRowsInvalid,
    OutboundBusy,
    OutboundInUse,
    OutboundPaused,
    PlanStale,
    RowsUnknown,
    RunNotReverted,
    SourceUnreachable,
    SyncInvalid,
    SyncRunning,
    SyncStopped,
    SyncTakenOver,
    SyncUnknown,
)
from tidegate.errors.outcomes import OUTCOMES, outcome
from tidegate.errors.revenue import (
    ClosingRefused,
    EngineFailed,
    EngineInvalid,
    ExclusionInvalid,
    ExportUnreadable,
    LedgerMissing,
    MonthOpen,
    PolicyInvalid,
    RatesInvalid,
    ReportInvalid,
    ReportUnread,
    SubscriptionInvalid,
)
from tidegate.errors.security import (
    IdempotencyKeyInvalid,
    IdempotencyKeyReused,
    IdempotencyPending,
    LastAdmin,
    LinkSpent,
    NotInvited,
    PreconditionFailed,
    ScopeMissing,
    ScopeUnknown,
    SignInFailed,
    TokenRefused,
    TokenUnknown,
    UserExists,
    UserInvalid,
    UserUnknown,
    ViewUnknown,
)
from tidegate.errors.selling import (
    CustomerBusy,
    PaymentRefused,
    SaleInvalid,
    SalePreviewNeeded,
    SaleRefused,
    SaleRunning,
    SaleUnsettled,
    WritePermissionMissing,
)
from tidegate.errors.stripe import (
    ENDS_THE_WORK,
    StripeAccessRevoked,
    StripeAccountHidden,
    StripeBodyUnreadable,
    StripeCertificateRefused,
    StripeCursorGone,
    StripeEndpointMissing,
    StripeKeyInvalid,
    StripeKeyRefused,
    StripeModeWrong,
    StripeObjectMissing,
    StripePermissionMissing,
    StripeRateLimited,
    StripeRefused,
    StripeUnreachable,
    WorkStopped,
    passes,
    refusal,
)

__all__ = [
    "ENDS_THE_WORK",
    "OUTCOMES",
    "ActionInvalid",
    "ActionUnknown",
    "AddressRefused",
    "AlertUnknown",
    "AssetMissing",
    "BackupFailed",
    "BackupUnreadable",
    "BodyTooLarge",
    "CatalogInvalid",
    "CatalogUnknown",
    "CatchUpRunning",
    "ChangeUnknown",
    "ClosingRefused",
    "ConfigInvalid",
    "ConfigurationError",
    "ConnectionAmbiguous",
    "ConnectionDisconnected",
    "ConnectionMissing",
    "ConnectionUnknown",
    "ContactAmbiguous",
    "ContactExists",
    "ContactFileInvalid",
    "ContactInvalid",
    "ContactSettingsInvalid",
    "ContactUnknown",
    "ContactsBusy",
    "CustomerBusy",
    "CustomerUnknown",
    "DatabaseBusy",
    "DatabaseFull",
    "DatabaseTooOld",
    "DatabaseUnreachable",
    "DeliveryUnknown",
    "DestinationInvalid",
    "DestinationRefused",
    "DestinationUnknown",
    "DestinationUnreachable",
    "EmbeddedServerError",
    "EmbeddedServerFull",
    "EmbeddedServerLost",
    "EngineFailed",
    "EngineInvalid",
    "EventRefused",
    "EventUnknown",
    "ExclusionInvalid",
    "ExportUnreadable",
    "FoundWrong",
    "HubBusy",
    "IdempotencyKeyInvalid",
    "IdempotencyKeyReused",
    "IdempotencyPending",
    "ImportIncomplete",
    "ImportRunning",
    "ImportTakenOver",
    "InboxBusy",
    "LastAdmin",
    "LedgerMissing",
    "LifecycleInvalid",
    "LinkSpent",
    "ManagedByFile",
    "MigrationNeeded",
    "MirrorIncomplete",
    "ModelInvalid",
    "ModelRowsInvalid",
    "MonthOpen",
    "NotInvited",
    "NotReadOnly",
    "NoteUnknown",
    "OAuthNotSetUp",
    "OAuthRefused",
    "ObjectUnknown",
    "OtherAccount",
    "OutboundBusy",
    "OutboundInUse",
    "OutboundPaused",
    "OwnerUnknown",
    "PaymentRefused",
    "PlanStale",
    "PolicyInvalid",
    "PortTaken",
    "PostgresProgramsMissing",
    "PreconditionFailed",
    "PreviewNeeded",
    "PreviewStale",
    "QueryRefused",
    "RatesInvalid",
    "ReaderRefused",
    "ReportInvalid",
    "ReportUnread",
    "ResourceNotListed",
    "ResourceUnknown",
    "RestoreFailed",
    "RestoreRefused",
    "ReviewUnknown",
    "RowsUnknown",
    "RunNotReverted",
    "RunUnknown",
    "SaleInvalid",
    "SalePreviewNeeded",
    "SaleRefused",
    "SaleRunning",
    "SaleUnsettled",
    "SchemaTooNew",
    "ScopeMissing",
    "ScopeUnknown",
    "SecretKeyLost",
    "SignInFailed",
    "SignatureInvalid",
    "SourceUnreachable",
    "StripeAccessRevoked",
    "StripeAccountHidden",
    "StripeBodyUnreadable",
    "StripeCertificateRefused",
    "StripeCursorGone",
    "StripeEndpointMissing",
    "StripeKeyInvalid",
    "StripeKeyRefused",
    "StripeModeWrong",
    "StripeObjectMissing",
    "StripePermissionMissing",
    "StripeRateLimited",
    "StripeRefused",
    "StripeUnreachable",
    "SubscriptionInvalid",
    "SweepRunning",
    "SyncInvalid",
    "SyncRunning",
    "SyncStopped",
    "SyncTakenOver",
    "SyncUnknown",
    "TaskUnknown",
    "TermsInvalid",
    "TextInvalid",
    "TidegateError",
    "TokenRefused",
    "TokenUnknown",
    "TransactionPooling",
    "Unreachable",
    "UsageError",
    "UsageInvalid",
    "UserExists",
    "UserInvalid",
    "UserUnknown",
    "ViewUnknown",
    "WorkStopped",
    "WriteKeyMissing",
    "WritePermissionMissing",
    "outcome",
    "passes",
    "refusal",
]

"""Connections to Stripe accounts, and the runs that work on them."""

from tidegate.errors.base import FoundWrong, UsageError


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


class WriteKeyMissing(UsageError):
    """The connection {connection} has no key that may write to Stripe. Make a restricted key that may write what is to
    be sent (of a package products and prices, of a sync the objects of its resource, of a sale customers and
    subscriptions), and give it with `tidegate connect --name {connection} --api-key - --write-key -`, both keys on
    stdin.
    """


class OAuthNotSetUp(UsageError):
    """Giving access by OAuth is not set up here: {lacking}. Connect with a restricted key instead: on the page under
    Connect, or `tidegate connect`.
    """


class OAuthRefused(UsageError):
    """Access was not given: {problem} Nothing was stored; begin again on the page under Connect."""


class RunUnknown(UsageError):
    """There is no run {id}."""


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

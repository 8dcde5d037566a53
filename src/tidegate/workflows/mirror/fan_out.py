"""Makes the accounts of a Connect platform connections, each with the platform's key: new ones, those that come back,
and those that are gone.
"""

import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Literal, NamedTuple

import msgspec
from sqlalchemy import Connection, Engine, func, insert, select, text

from tidegate.connections import accounts, problems
from tidegate.connections.accounts import Account
from tidegate.connections.tables import connections
from tidegate.errors import StripeBodyUnreadable, StripeRefused, UsageError
from tidegate.mirror import forgotten
from tidegate.security import audit_log
from tidegate.stripe_api.client import StripeApi
from tidegate.stripe_api.resources import RESOURCES
from tidegate.stripe_api.shapes.read import Page, Unreadable, read, read_page
from tidegate.workflows.doorbell import Doorbell

PATH = "/v1/accounts"
ENDPOINT = f"GET {PATH}"
DAY = text("interval '1 day'")
SOON = text("interval '1 hour'")
LONGEST_PART = 27  # of the up to 60 characters that a name has

Verdict = Literal["new", "connected", "again", "left_out", "elsewhere", "gone"]
"""Of an account: connected now, was connected, connected again, kept out by a person, connected with a key of its own,
no longer the platform's.
"""


@dataclass(frozen=True, slots=True)
class Connected:
    """An account of the platform: Stripe's id, what it is called, the connection's name, and what became of it."""

    account: str
    display_name: str
    connection: str
    verdict: Verdict


@dataclass(frozen=True, slots=True)
class FanOut:
    """What a look at a platform's accounts came to."""

    platform: str
    accounts: list[Connected] = field(default_factory=list[Connected])

    def names(self, *verdicts: Verdict) -> list[str]:
        """The connections with one of these verdicts."""
        return [one.connection for one in self.accounts if one.verdict in verdicts]

    def as_json(self) -> dict[str, Any]:
        """The summary as a JSON object."""
        return {"connection": self.platform, "accounts": [asdict(one) for one in self.accounts]}


class Listed(NamedTuple):
    """An account as Stripe lists it: its id, and what it is called."""

    id: str
    name: str


def look(engine: Engine, platform: Account, api: StripeApi, *, by_hand: bool = False) -> FanOut:
    """What `fan_out` would do; nothing is changed. Raises what `fan_out` raises."""
    listed = list_accounts(api)
    with engine.connect() as db:
        return FanOut(platform.name, _decide(db, platform, listed, by_hand))


def fan_out(engine: Engine, platform: Account, api: StripeApi, *, actor: str = "") -> FanOut:
    """Lists the platform's accounts and makes each a connection; rings for the import of those that are new.

    An account that is listed no more is disconnected, with the problem `account_gone`, and its data kept; listed again
    it is connected again. What a person disconnected stays so unless a person does it: `actor`, as the audit log says
    it; empty: a worker. The connection becomes a platform if it was none; the next look is due in a day, after a
    refusal in an hour. Raises UsageError for a connection that has no key of its own, and the errors of StripeApi.
    """
    if platform.platform:
        raise UsageError(
            problem=f"{platform.name} is an account of the platform {platform.platform}. Fan out {platform.platform}."
        )
    try:
        with problems.watched(engine, platform.name, ENDPOINT):
            listed = list_accounts(api)
    except StripeRefused:
        with engine.begin() as db:
            if platform.fan_out_at:
                accounts.note(db, platform.name, fan_out_at=func.now() + SOON)
        raise
    with engine.begin() as db:
        # Two fan-outs at once would give two accounts one name; a purge takes the accounts along.
        held = select(connections.c.name).where(
            connections.c.name == platform.name, connections.c.disconnected_at.is_(None)
        )
        if db.scalar(held.with_for_update(key_share=True)) is None:
            return FanOut(platform.name)
        decided = FanOut(platform.name, _decide(db, platform, listed, bool(actor)))
        _store(db, platform, decided)
        if actor:
            connected = decided.names("new", "again")
            audit_log.record(db, actor, "connection.accounts_connected", platform.name, accounts=len(connected))
        accounts.note(db, platform.name, fan_out_at=func.now() + DAY)
        for name in decided.names("new"):
            Doorbell(engine).ring("import_account", connection=name, db=db)
    return decided


def list_accounts(api: StripeApi) -> list[Listed]:
    """Every account connected to the key's platform (docs.stripe.com/api/accounts/list); none for what is no platform.

    Raises the errors of StripeApi; StripeBodyUnreadable also for a list that goes on without moving on, or holds what
    is no account: who is gone could not be told from it.
    """
    listed: dict[str, Listed] = {}
    cursor, more = "", True
    while more:
        params: dict[str, Any] = {"limit": 100} | ({"starting_after": cursor} if cursor else {})
        page, answer = api.read(PATH, _decode, params)
        found = [_read(body) for body in page.data]
        problem = "it holds an account without an id" if None in found else ""
        more = page.has_more
        new = [one for one in found if one and one.id not in listed]
        if more and not new:
            problem = "the list says that more follows but does not move on"
        if problem:
            raise StripeBodyUnreadable(endpoint=ENDPOINT, problem=problem, tries=1, request_id=answer.request_id)
        listed |= {one.id: one for one in new}
        cursor = new[-1].id if new else ""
    return list(listed.values())


def _decode(body: bytes) -> Page:
    page = read_page(body)
    if isinstance(page, Unreadable):
        raise msgspec.DecodeError(page.reason)
    return page


def _read(body: msgspec.Raw) -> Listed | None:
    resource = RESOURCES["accounts"]
    reading = read(resource, body)
    if isinstance(reading, Unreadable):
        return None
    told = dict(zip((column.name for column in resource.columns), reading.values, strict=True))
    return Listed(reading.id, told["name"] or reading.id)


def _decide(db: Connection, platform: Account, listed: Sequence[Listed], by_hand: bool) -> list[Connected]:
    """What becomes of each account that is listed, in the list's order, then of those that are listed no more."""
    existing = accounts.every(db)
    known = {one.account: one for one in existing if one.platform == platform.name}
    own_keys = {one.budget: one for one in existing if not one.platform and not one.disconnected_at}
    taken = {one.name for one in existing}
    decided: list[Connected] = []
    for one in listed:
        if child := known.get(one.id):
            decided.append(Connected(one.id, one.name, child.name, _verdict(child, by_hand)))
        elif other := own_keys.get(accounts.budget(one.id, platform.livemode, platform.api_base)):
            decided.append(Connected(one.id, one.name, other.name, "elsewhere"))
        else:
            name = _name(platform.name, one, taken)
            taken.add(name)
            decided.append(Connected(one.id, one.name, name, "new"))
    still = {one.id for one in listed}
    gone = [one for one in known.values() if one.account not in still and not one.disconnected_at]
    return decided + [Connected(one.account, one.display_name, one.name, "gone") for one in gone]


def _verdict(child: Account, by_hand: bool) -> Verdict:
    if not child.disconnected_at:
        return "connected"
    return "left_out" if child.left_out and not by_hand else "again"


def _name(platform: str, one: Listed, taken: set[str]) -> str:
    """A free name: the platform's, what the account is called (else its id), and a number when that is taken.

    Chosen once: the connection keeps it, whatever the account is called later.
    """
    called = re.sub(r"[^a-z0-9]+", "-", one.name.lower()).strip("-") or one.id.lower()
    wanted = f"{platform[:LONGEST_PART]}-{called[:LONGEST_PART].strip('-')}"
    candidates = [wanted, *(f"{wanted}-{n}" for n in range(2, len(taken) + 3))]
    return next(name for name in candidates if name not in taken)


def _store(db: Connection, platform: Account, decided: FanOut) -> None:
    for one in decided.accounts:
        match one.verdict:
            case "new":
                _connect(db, platform, one)
            case "again":
                accounts.note(db, one.connection, disconnected_at=None, left_out=False, display_name=one.display_name)
                problems.clear(db, one.connection, ["account_gone", "oauth_revoked"])
            case "connected":
                accounts.note(db, one.connection, display_name=one.display_name)
            case "gone":
                accounts.note(db, one.connection, disconnected_at=func.now())
                detail = f"{one.account} ({one.display_name}) is no longer connected to the platform {platform.name}."
                problems.note(db, one.connection, "account_gone", detail)
            case "left_out" | "elsewhere":
                pass
    accounts.follow(db, platform.name)


def _connect(db: Connection, platform: Account, one: Connected) -> None:
    values = {name: getattr(platform, name) for name in ("livemode", "sandbox", "api_base", "rate", "endpoint_rate")}
    db.execute(
        insert(connections).values(
            name=one.connection,
            account=one.account,
            display_name=one.display_name,
            platform=platform.name,
            **values,
        )
    )
    forgotten.recall(db, one.connection)

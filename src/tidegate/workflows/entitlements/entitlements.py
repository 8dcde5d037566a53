"""What product code asks and does, many contacts together, and what people give beside Stripe."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar

from sqlalchemy import Connection, Engine

from tidegate.catalog import names, snapshot
from tidegate.contacts import directory, linking
from tidegate.entitlements import answers, holders, ledger, overrides, reservations, usage
from tidegate.entitlements.holders import Asked, Standing
from tidegate.entitlements.overrides import Giving
from tidegate.entitlements.resolve import Holder
from tidegate.entitlements.usage import Order
from tidegate.errors import CatalogUnknown, TidegateError
from tidegate.workflows.refresh import refresh_contacts

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Check:
    """May this contact (any id of its) use the feature; None: which features?"""

    livemode: bool
    contact: str
    feature: str | None = None


@dataclass(frozen=True, slots=True)
class Use:
    """An order of product code: as `usage.Order`, for a contact by any id of its."""

    livemode: bool
    contact: str
    feature: str
    operation: str
    amount: int
    key: str | None = None
    seconds: int | None = None
    happened: bool = False


Outcome = dict[str, Any] | TidegateError


def check(engine: Engine, checks: Sequence[Check]) -> list[Outcome]:
    """An answer for each check, as `answers.said` has it, or why there is none; in one query for each mode."""
    outcomes: dict[int, Outcome] = {}
    for livemode in {one.livemode for one in checks}:
        places = [place for place, one in enumerate(checks) if one.livemode is livemode]
        asked = [checks[place] for place in places]
        features = [one.feature for one in asked if one.feature is not None]
        only = sorted(set(features)) if len(features) == len(asked) else None
        with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as db:  # a rollback forgets every plan
            standing = holders.ask(db, livemode, sorted({one.contact for one in asked}), only)
            catalog = snapshot.at(db, standing.revision)
        for place, one in zip(places, asked, strict=True):
            found = standing.asked[one.contact]
            try:
                outcomes[place] = answers.said(_sound(found), catalog, standing.as_of, one.feature)
            except TidegateError as error:
                outcomes[place] = error
    return [outcomes[place] for place in range(len(checks))]


def with_names(db: Connection, found: dict[str, Any]) -> dict[str, Any]:
    """The answer to a check with a `price_name` beside each price that it names and the mirror knows."""
    entitled = found["features"].values() if "features" in found else [found]
    sources = [source for one in entitled for source in one["sources"] if "price" in source]
    known = names.prices(db, {(one["connection"], one["price"]) for one in sources})
    for one in sources:
        one["price_name"] = known.get((one["connection"], one["price"]), "")
    return found


def use(engine: Engine, uses: Sequence[Use]) -> list[Outcome]:
    """Carries out each order and returns its answer, or why there is none; in one transaction for each mode."""
    outcomes: dict[int, Outcome] = {}
    for livemode in {one.livemode for one in uses}:
        places = [place for place, one in enumerate(uses) if one.livemode is livemode]
        wanted = [uses[place] for place in places]
        done = _held(engine, livemode, [(one.contact, one.feature) for one in wanted], partial(_use, uses=wanted))
        outcomes |= dict(zip(places, done, strict=True))
    return [outcomes[place] for place in range(len(uses))]


def _use(db: Connection, standing: Standing, uses: Sequence[Use]) -> list[Outcome]:
    catalog = snapshot.at(db, standing.revision)
    outcomes: list[Outcome | None] = []
    orders: list[Order] = []
    holding: dict[int, Holder] = {}
    for one in uses:
        try:
            asked = _sound(standing.asked[one.contact])
            answers.known(catalog, one.feature)
        except TidegateError as error:
            outcomes.append(error)
            continue
        debtor = answers.debtor(asked, one.feature, catalog, standing.as_of)
        order = Order(
            *(debtor, one.feature, one.operation, one.amount, one.key, one.seconds),
            known_as=asked.keys,
            happened=one.happened,
        )
        holding |= zip(asked.keys, asked.holders, strict=True)
        orders.append(order)
        outcomes.append(None)
    done = iter(usage.carry_out(db, orders, holding, catalog, standing.as_of))
    return [next(done) if one is None else one for one in outcomes]


def _held(
    engine: Engine, livemode: bool, places: Sequence[tuple[str, str]], do: Callable[[Connection, Standing], T]
) -> T:
    """Does something, in a transaction, with contacts as they stand when nobody else may debit these features of them.

    When a merge was waited for, the ids lead to contacts that are not held: then all is let go, and held anew.
    """
    ids = {(id_, feature) for ref, feature in places if holders.is_text(feature) for id_ in holders.ids_of(ref)}
    refs, features = (sorted({one[n] for one in places}) for n in (0, 1))
    while True:
        with engine.begin() as db:
            held = ledger.hold(db, livemode, ids)
            standing = holders.ask(db, livemode, refs, features)
            asked = [one for one in standing.asked.values() if isinstance(one, Asked)]
            if held.issuperset(key for one in asked for key in one.keys):
                if standing.late:
                    ledger.end_reservations(db, standing.late, standing.as_of)
                return do(db, standing)


def settle(
    engine: Engine, livemode: bool, contact: str, feature: str, reservation: int, amount: int | None
) -> dict[str, Any]:
    """Confirms or (with amount 0) releases a reservation. Raises ContactUnknown, CatalogUnknown, UsageInvalid."""

    def do(db: Connection, standing: Standing) -> dict[str, Any]:
        asked = _sound(standing.asked[contact])
        catalog = snapshot.at(db, standing.revision)
        answers.known(catalog, feature)
        return reservations.settle(db, asked, feature, reservation, catalog, standing.as_of, amount)

    return _held(engine, livemode, [(contact, feature)], do)


def _sound(found: Asked | TidegateError) -> Asked:
    if isinstance(found, TidegateError):
        raise found
    return found


def give(engine: Engine, livemode: bool, contact: str, **what: Any) -> dict[str, Any]:
    """Gives an override (the fields of `Giving` but the contact) and tells what it changes; returns it.

    Raises ContactUnknown, CatalogUnknown, CatalogInvalid, TermsInvalid.
    """
    with engine.begin() as db:
        linking.lock(db)
        found = directory.find(db, livemode, contact)
        number = overrides.give(db, Giving(found.key, **what))
        refresh_contacts(db, [found.key])
        return next(overrides.shown(row) for row in overrides.of_contact(db, found.key) if row["id"] == number)


def revoke(engine: Engine, livemode: bool, number: int, by: str, contact: str | None = None) -> dict[str, Any]:
    """Ends an override at once, of the named contact or of anybody, tells what that changes and returns it.

    Raises ContactUnknown, CatalogUnknown.
    """
    with engine.begin() as db:
        linking.lock(db)
        found = directory.find(db, livemode, contact) if contact is not None else None
        owner = overrides.owner(db, number)
        if owner is None or (found is not None and owner.key != found.key) or owner.livemode is not livemode:
            raise CatalogUnknown(what="override", key=str(number), nearest="", list="overrides")
        row = overrides.revoke(db, number, by)
        refresh_contacts(db, [owner.key])
        return overrides.shown({**row})


def overrides_of(engine: Engine, livemode: bool, contact: str) -> list[dict[str, Any]]:
    """All overrides that a contact has or had, newest first. Raises ContactUnknown."""
    with engine.connect() as db:
        found = directory.find(db, livemode, contact)
        return [overrides.shown(row) for row in overrides.of_contact(db, found.key)]


def every_override(engine: Engine, livemode: bool, *, ended: bool = False) -> list[dict[str, Any]]:
    """The overrides in force of all contacts of a mode, soonest to expire first; with `ended` the others too."""
    with engine.connect() as db:
        return [overrides.shown(row) for row in overrides.every(db, ended=ended) if row["livemode"] is livemode]

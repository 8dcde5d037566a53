"""Decides whom a Stripe customer stands for: customer and candidates in, a link or the reason why there is none (pure).

The order is that of semantics, Contacts: the first certain answer wins, two candidates are a conflict, never the first.
"""

import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Any, Literal

Kind = Literal["user", "account"]
Method = Literal["manual", "billing_id", "metadata", "email", "domain", "created"]

LONGEST_ID = 500
"""Characters of an external id."""
STRENGTH: dict[str, int] = {"manual": 5, "billing_id": 4, "metadata": 3, "created": 2, "email": 1, "domain": 0}
"""How sure a method is. A link holds until something surer says otherwise: metadata beats e-mail, e-mail a domain."""


@dataclass(frozen=True, slots=True)
class MatchPolicy:
    """Contact settings of a connection (semantics, Contacts).

    `kind`: what a customer stands for. `metadata_keys`: which keys of a customer's metadata hold your own id, in order.
    `create_missing`: whoever matches nobody becomes a contact. `only_subscribed`: customers without any subscription
    are left alone. `free_mail`: domains of mail providers, which tell nothing of a company, beside the known ones.
    """

    kind: Kind = "account"
    metadata_keys: tuple[str, ...] = ()
    create_missing: bool = False
    only_subscribed: bool = True
    free_mail: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Customer:
    """A Stripe customer as matching sees it. `domain`: the registrable one of the e-mail, empty for free mail."""

    id: str
    email: str = ""
    name: str = ""
    metadata: Mapping[str, str] = field(default_factory=dict[str, str])
    domain: str = ""
    subscribed: bool = True
    deleted: bool = False


@dataclass(frozen=True, slots=True)
class Standing:
    """A link as it stands: to a contact, or by hand to nobody (None). `may_be_named`: the contact was made from the
    customer and is of the policy's kind, so that an id in the metadata is an id of it.
    """

    contact: int | None
    method: Method
    may_be_named: bool = False


@dataclass(frozen=True, slots=True)
class Candidates:
    """Contacts (internal keys) of the policy's kind that could be meant.

    `by_id`: for each value of the metadata keys, the contact whose id it is or was. `taken`: whether some contact has
    already the external id that a new one would get.
    """

    by_id: Mapping[str, int] = field(default_factory=dict[str, int])
    by_email: Sequence[int] = ()
    by_domain: Sequence[int] = ()
    taken: bool = False


@dataclass(frozen=True, slots=True)
class Linked:
    """The customer is this contact, by this method, on this evidence. `named`: an id of yours that nobody has and that
    the contact is to have from now on.
    """

    contact: int
    method: Method
    evidence: dict[str, Any]
    named: str = ""


@dataclass(frozen=True, slots=True)
class Create:
    """Nobody matches and the settings say to create: a contact with this external id."""

    external_id: str
    evidence: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Queued:
    """A person has to look: `conflict` (several candidates), `no_match`, or `id_unknown` (metadata names nobody)."""

    reason: Literal["conflict", "no_match", "id_unknown"]
    candidates: tuple[int, ...]
    evidence: dict[str, Any]


@dataclass(frozen=True, slots=True)
class LeftAlone:
    """No link, and nothing to do: kept apart by hand, without subscription, or deleted."""

    reason: Literal["unlinked_by_hand", "no_subscription", "deleted"]


Outcome = Linked | Create | Queued | LeftAlone


@lru_cache(maxsize=4096)
def fold(email: str) -> str:
    """An e-mail as it is compared: without blanks around it, case folded (ß as ss), accents composed (Unicode's NFC):
    `é` may be written as one character or as two.
    """
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", email.strip()).casefold())


def new_id(customer: Customer) -> str:
    """The external id of a contact made from a customer: the e-mail, without one the customer's id."""
    folded = fold(customer.email)
    return folded if 0 < len(folded) <= LONGEST_ID else customer.id


def named_ids(customer: Customer, policy: MatchPolicy) -> list[tuple[str, str]]:
    """Your ids in the customer's metadata, as (key, id), in the order of the policy; what cannot be an id is none."""
    said = [(key, customer.metadata.get(key, "").strip()) for key in policy.metadata_keys]
    return [(key, value) for key, value in said if 0 < len(value) <= LONGEST_ID]


def match(customer: Customer, standing: Standing | None, candidates: Candidates, policy: MatchPolicy) -> Outcome:
    """Whom the customer stands for.

    A link that stands holds until something surer says otherwise (`STRENGTH`). A contact that was made from the
    customer gets the id that the metadata names and nobody has, as it would have, had that been there at first.
    """
    if standing is not None and STRENGTH[standing.method] > STRENGTH["metadata"]:
        return _stands(standing) if standing.contact is not None else LeftAlone("unlinked_by_hand")
    if standing is None and customer.deleted:
        return LeftAlone("deleted")
    if standing is None and policy.only_subscribed and not customer.subscribed:
        return LeftAlone("no_subscription")
    named = named_ids(customer, policy)
    by_id = [(key, value, candidates.by_id[value]) for key, value in named if value in candidates.by_id]
    if standing is not None and standing.method == "created" and all(one[2] == standing.contact for one in by_id[:1]):
        return _created(customer, standing, named, candidates)
    if by_id:
        key, value, contact = by_id[0]
        return Linked(contact, "metadata", {"metadata_key": key, "value": value})
    found = _by_address(customer, named, candidates, policy)
    if standing is None or standing.contact is None:
        return found
    surer = isinstance(found, Linked) and STRENGTH[found.method] > STRENGTH[standing.method]
    return found if surer else _stands(standing)


def _created(
    customer: Customer, standing: Standing, named: Sequence[tuple[str, str]], candidates: Candidates
) -> Linked:
    """A link to the contact that was made from the customer, which stands."""
    if not named or named[0][1] in candidates.by_id or not standing.may_be_named:
        return _stands(standing)
    evidence: dict[str, Any] = {"metadata": dict(named)} | ({"email": fold(customer.email)} if customer.email else {})
    return replace(_stands(standing), evidence=evidence, named=named[0][1])


def _stands(standing: Standing) -> Linked:
    assert standing.contact is not None
    return Linked(standing.contact, standing.method, {})


def _by_address(
    customer: Customer, named: Sequence[tuple[str, str]], candidates: Candidates, policy: MatchPolicy
) -> Outcome:
    tried: dict[str, Any] = {"metadata": dict(named)} if named else {}
    if customer.email:
        tried["email"] = fold(customer.email)
        if len(candidates.by_email) == 1:
            return Linked(candidates.by_email[0], "email", {"email": fold(customer.email)})
        if candidates.by_email:
            return Queued("conflict", tuple(candidates.by_email), tried | {"conflict": "email"})
    if policy.kind == "account" and customer.domain:
        tried["domain"] = customer.domain
        if len(candidates.by_domain) == 1:
            return Linked(candidates.by_domain[0], "domain", {"domain": customer.domain})
        if candidates.by_domain:
            return Queued("conflict", tuple(candidates.by_domain), tried | {"conflict": "domain"})
    if not policy.create_missing:
        return Queued("id_unknown" if named else "no_match", (), tried)
    if named:
        return Create(named[0][1], tried)  # nobody has that id, or it would have been found
    if candidates.taken:
        return Queued("conflict", (), tried | {"conflict": "external_id", "external_id": new_id(customer)})
    return Create(new_id(customer), tried)

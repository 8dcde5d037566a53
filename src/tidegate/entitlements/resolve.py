"""Grants, overrides and usage to entitlements: what a contact may use at an instant, how much, and why (pure)."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, Literal

from msgspec import Struct

from tidegate.catalog.contents import Catalog, Feature, PackageVersion
from tidegate.catalog.terms import Reset, Terms
from tidegate.entitlements.access import Access, AccessPolicy, Standing, access
from tidegate.entitlements.buckets import Bucket, Source, Spent, Used, fill, kept_buckets, soonest
from tidegate.entitlements.periods import Interval


class Grant(Struct, frozen=True, array_like=True, gc=False):
    """What one item of one subscription gives: a version of a package, or a feature on terms of its own.

    `mapping`: the row of the catalog that says so. `times`: what limits are multiplied by. `anchor`, `billing`: the
    subscription's cycle. `since`: when the item began. Times are UTC.
    """

    connection: str
    customer: str
    subscription: str
    item: str
    price: str
    mapping: int
    standing: Standing
    since: datetime
    anchor: datetime
    package: str | None = None
    version: int | None = None
    feature: str | None = None
    terms: Terms | None = None
    times: int = 1
    billing: Interval | None = None


class Override(Struct, frozen=True, array_like=True, gc=False):
    """What a person gives beside Stripe: a package, or a feature on terms that are added or replace all others.

    Holds from `since` to `expires_at` (None: until revoked), UTC. Higher `priority` is used up first.
    """

    id: int
    since: datetime
    by: str
    reason: str
    operation: Literal["add", "replace"] = "add"
    package: str | None = None
    version: int | None = None
    feature: str | None = None
    terms: Terms | None = None
    expires_at: datetime | None = None
    priority: int = 0

    def holds(self, as_of: datetime) -> bool:
        """Whether it does at that instant."""
        return self.since <= as_of and (self.expires_at is None or as_of < self.expires_at)


@dataclass(frozen=True, slots=True)
class Holder:
    """A contact with all that its entitlements are read from. `since`: when it was created, the anchor of what no
    subscription anchors. `used`: of the periods that the instant lies in which it was loaded for. `policies`: when a
    subscription gives access, by connection, where that is not the default.
    """

    contact: str
    since: datetime
    grants: Sequence[Grant] = ()
    overrides: Sequence[Override] = ()
    used: Used = field(default_factory=dict[tuple[str, str, datetime], Spent])
    policies: Mapping[str, AccessPolicy] = field(default_factory=dict[str, AccessPolicy])

    def access(self, grant: Grant, as_of: datetime) -> Access:
        """Whether the grant gives anything at that instant."""
        if grant.times <= 0:
            return Access(False, "the item's quantity is 0")
        return access(grant.standing, self.policies.get(grant.connection, _DEFAULT), as_of)


@dataclass(frozen=True, slots=True)
class Held:
    """A package that the contact holds now, by what, until when it surely does (None: until something happens)."""

    package: str
    version: int
    kind: str
    via: dict[str, Any]
    reason: str
    until: datetime | None


@dataclass(frozen=True, slots=True)
class Entitlement:
    """What a contact may use of one feature now.

    `reason`: granted, usage_limit_reached, over_limit, feature_unavailable (semantics, Usage). `limit` None: unlimited,
    or no metered feature. `sources`: every grant, override or default that gives something, and with `granted` false
    those that gave something once, each with its reason. `until`: when this changes by itself. `reset`: how often a
    limit is given anew.
    """

    feature: Feature
    granted: bool
    reason: str
    value: Any = None
    limit: int | None = None
    unlimited: bool = False
    used: int = 0
    resets_at: datetime | None = None
    until: datetime | None = None
    sources: tuple[Source, ...] = ()
    buckets: tuple[Bucket, ...] = ()
    reset: Reset = "never"

    @property
    def remaining(self) -> int | None:
        """Units that may still be used; None when unlimited or not metered; never below 0."""
        return None if self.limit is None else max(0, self.limit - self.used)


def held(holder: Holder, catalog: Catalog, as_of: datetime) -> list[Held]:
    """The packages that the contact holds at the instant: by subscription, by override, else the default."""
    found: list[Held] = []
    for grant in holder.grants:
        version = _version(catalog, grant.package, grant.version)
        if version is not None and (now := holder.access(grant, as_of)).granted:
            found.append(Held(version.package, version.version, version.kind, _via(grant), now.reason, now.until))
    for one in holder.overrides:
        version = _version(catalog, one.package, one.version)
        if version is not None and one.holds(as_of):
            via = {"override": one.id, "by": one.by}
            found.append(Held(version.package, version.version, version.kind, via, _said(one), one.expires_at))
    default = catalog.default
    if default is not None and not any(one.kind == "base" for one in found):
        found.append(
            Held(default.package, default.version, default.kind, {"default": True}, "no base package is held", None)
        )
    return found


def has_base(holder: Holder, catalog: Catalog, as_of: datetime) -> bool:
    """Whether a subscription or an override gives a base package at the instant."""
    return any(one.kind == "base" and "default" not in one.via for one in held(holder, catalog, as_of))


def resolve(holder: Holder, catalog: Catalog, as_of: datetime, only: Iterable[str] | None = None) -> list[Entitlement]:
    """The entitlement of every feature of the catalog, or of those named `only`, in the catalog's order."""
    wanted = catalog.features if only is None else {key: catalog.features[key] for key in only}
    sources = _sources(holder, catalog, as_of, wanted)
    return [_entitlement(feature, sources.get(key, []), holder, as_of) for key, feature in wanted.items()]


def _entitlement(feature: Feature, sources: list[Source], holder: Holder, as_of: datetime) -> Entitlement:
    if not sources:
        return _unavailable(feature, holder.used)
    giving = [one for one in sources if one.access.granted]
    replacing = [one for one in giving if one.operation == "replace"]
    counted = [max(replacing, key=lambda one: (one.priority, one.since))] if replacing else giving
    shown = tuple(sources)
    until = min((one.access.until for one in sources if one.access.until), default=None)
    if not counted:
        return replace(_unavailable(feature, holder.used), until=until, sources=shown)
    if feature.type == "boolean":
        return Entitlement(feature, True, "granted", until=until, sources=shown)
    if feature.type == "config":
        best = max(counted, key=lambda one: (_RANK[one.kind], one.priority, one.since))
        return Entitlement(feature, True, "granted", best.terms.value, until=until, sources=shown)
    buckets = fill(feature.key, feature.reset, counted, holder.used, as_of)
    buckets += kept_buckets(feature.key, feature.reset, buckets, holder.used)
    return _metered(feature, buckets, until, shown)


def _unavailable(feature: Feature, used: Used) -> Entitlement:
    """What nothing gives; what was used of it can still be given back."""
    if feature.type != "metered":
        return Entitlement(feature, False, "feature_unavailable")
    kept = kept_buckets(feature.key, feature.reset, (), used)
    return Entitlement(feature, False, "feature_unavailable", used=sum(one.used for one in kept), buckets=tuple(kept))


_DEFAULT = AccessPolicy()
_RANK = {"default": 0, "base": 1, "add_on": 2, "feature": 3, "override": 4}


def _metered(
    feature: Feature, buckets: list[Bucket], until: datetime | None, sources: tuple[Source, ...]
) -> Entitlement:
    used = sum(one.used for one in buckets)
    unlimited = any(one.limit is None for one in buckets)
    limit = None if unlimited else sum(one.limit or 0 for one in buckets)
    resets = min((one.resets_at for one in buckets if one.resets_at), default=None)
    reason = "granted"
    if limit is not None and used >= limit:
        reason = "over_limit" if used > limit else "usage_limit_reached"
    granted, reset = reason == "granted", soonest(buckets)
    return Entitlement(
        feature, granted, reason, None, limit, unlimited, used, resets, until, sources, tuple(buckets), reset
    )


def _sources(
    holder: Holder, catalog: Catalog, as_of: datetime, wanted: Mapping[str, Feature]
) -> dict[str, list[Source]]:
    """What gives or gave something of each wanted feature."""
    found: dict[str, list[Source]] = {}
    base = False
    for grant in holder.grants:
        version = _version(catalog, grant.package, grant.version)
        is_base = version is not None and version.kind == "base"
        given = _given(grant.feature, grant.terms, version, "feature", wanted)
        if not given and not is_base:
            continue
        now, via = holder.access(grant, as_of), _via(grant)
        base = base or (is_base and now.granted)
        for key, terms, kind in given:
            one = Source(kind, terms, now, grant.times, grant.since, grant.anchor, billing=grant.billing, via=via)
            found.setdefault(key, []).append(one)
    for override in holder.overrides:
        version = _version(catalog, override.package, override.version)
        base = base or (version is not None and version.kind == "base" and override.holds(as_of))
        for key, terms, kind in _given(override.feature, override.terms, version, "override", wanted):
            found.setdefault(key, []).append(_overriding(override, terms, kind, holder, as_of))
    if catalog.default is not None and not base:
        here = Access(True, "no base package is held")
        via = {"default": True, "package": catalog.default.package, "version": catalog.default.version}
        for key, terms, _ in _given(None, None, catalog.default, "default", wanted):
            found.setdefault(key, []).append(Source("default", terms, here, 1, holder.since, holder.since, via=via))
    return found


def _given(
    feature: str | None,
    terms: Terms | None,
    version: PackageVersion | None,
    kind: str,
    wanted: Mapping[str, Feature],
) -> list[tuple[str, Terms, str]]:
    """What a package version, or a feature's own terms, says of the wanted features."""
    if version is None:
        return [(feature, terms, kind)] if feature in wanted and feature is not None and terms is not None else []
    if len(wanted) == 1:
        [key] = wanted
        return [(key, version.features[key], version.kind)] if key in version.features else []
    return [(key, terms, version.kind) for key, terms in version.features.items() if key in wanted]


def _overriding(one: Override, terms: Terms, kind: str, holder: Holder, as_of: datetime) -> Source:
    now = Access(False, "the override has expired")
    if as_of < one.since:
        now = Access(False, "the override does not hold yet", one.since)
    elif one.holds(as_of):
        now = Access(True, _said(one), one.expires_at)
    own = f"override:{one.id}" if kind == "override" and one.operation == "add" and one.expires_at else ""
    via = {"override": one.id, "by": one.by, "operation": one.operation}
    if one.package is not None:
        via |= {"package": one.package, "version": one.version}
    anchor = min((grant.anchor for grant in holder.grants), default=holder.since)
    return Source(
        kind,
        terms,
        now,
        1,
        one.since,
        anchor,
        operation=one.operation if kind == "override" else "add",
        priority=one.priority,
        bucket=own,
        expires_at=one.expires_at,
        via=via,
    )


def _said(one: Override) -> str:
    return f"given by {one.by}" + (f": {one.reason}" if one.reason else "")


def _version(catalog: Catalog, package: str | None, version: int | None) -> PackageVersion | None:
    return catalog.versions.get((package, version)) if package is not None and version is not None else None


def _via(grant: Grant) -> dict[str, Any]:
    """The path from the contact to what is given: customer, subscription, item, price, mapping, package version."""
    via: dict[str, Any] = {
        "connection": grant.connection,
        "customer": grant.customer,
        "subscription": grant.subscription,
        "item": grant.item,
        "price": grant.price,
        "mapping": grant.mapping,
    }
    if grant.package is not None:
        via |= {"package": grant.package, "version": grant.version}
    return via

"""What a contact may use: every sentence of semantics, Resolution and Usage, that needs no database."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidegate.catalog.contents import Catalog, Feature, PackageVersion
from tidegate.catalog.terms import Terms
from tidegate.entitlements.access import Standing
from tidegate.entitlements.buckets import Bucket, Debit, Spent, give_back, take
from tidegate.entitlements.periods import EPOCH
from tidegate.entitlements.resolve import Entitlement, Grant, Holder, Override, held, resolve

NOW = datetime(2026, 3, 15, 12, tzinfo=UTC)
START = datetime(2026, 1, 31, tzinfo=UTC)
MONTH = datetime(2026, 2, 28, tzinfo=UTC)
"""The start of the monthly period that NOW lies in."""
NEXT = datetime(2026, 3, 31, tzinfo=UTC)
"""Its end."""
DAY = timedelta(days=1)

FEATURES = {
    one.key: one
    for one in (
        Feature("sso", "boolean"),
        Feature("region", "config"),
        Feature("calls", "metered", "call", "month"),
        Feature("seats", "metered", "seat", "never"),
    )
}
PRO = PackageVersion(
    "pro",
    1,
    "base",
    {"sso": Terms(), "region": Terms(value="eu"), "calls": Terms(limit=1000), "seats": Terms(limit=10)},
)
PRO_2 = PackageVersion("pro", 2, "base", {"calls": Terms(limit=500)})
TEAM = PackageVersion("team", 1, "base", {"calls": Terms(limit=3000), "seats": Terms(limit=5)})
FREE = PackageVersion("free", 1, "base", {"calls": Terms(limit=10)})
SEATS = PackageVersion("extra-seats", 1, "add_on", {"seats": Terms(limit=5)})
DAILY = PackageVersion("daily", 1, "base", {"calls": Terms(limit=100, reset="day")})
MORE = PackageVersion("more-calls", 1, "add_on", {"calls": Terms(limit=50)})
ENDLESS = PackageVersion("endless", 1, "add_on", {"calls": Terms(unlimited=True)})
VERSIONS = {(one.package, one.version): one for one in (PRO, PRO_2, TEAM, FREE, SEATS, DAILY, MORE, ENDLESS)}
CATALOG = Catalog(FEATURES, VERSIONS, default=None)
WITH_DEFAULT = replace(CATALOG, default=FREE)


def grant(package: str | None, version: int | None = 1, subscription: str = "sub_1", **fields: Any) -> Grant:
    values: dict[str, Any] = {
        "connection": "acme",
        "customer": "cus_1",
        "subscription": subscription,
        "item": f"si_{package or fields.get('feature')}_{subscription}",
        "price": f"price_{package}",
        "mapping": 1,
        "standing": Standing("active"),
        "since": START,
        "anchor": START,
        "package": package,
        "version": version if package else None,
    }
    return Grant(**(values | fields))


def override(feature: str | None = None, terms: Terms | None = None, **fields: Any) -> Override:
    return Override(
        **({"id": 7, "since": START, "by": "ada", "reason": "asked", "feature": feature, "terms": terms} | fields)
    )


def holder(*grants: Grant, overrides: tuple[Override, ...] = (), used: Any = None) -> Holder:
    """`used`: units by (feature, bucket, start), of a period that ends at NEXT, or never."""
    spent = {place: Spent(n, None if place[2] == EPOCH else NEXT) for place, n in (used or {}).items()}
    return Holder("account:acme", START, grants, overrides, spent)


def of(feature: str, whose: Holder, catalog: Catalog = CATALOG, as_of: datetime = NOW) -> Entitlement:
    [found] = resolve(whose, catalog, as_of, only=[feature])
    return found


ENDED = Standing("canceled")


@pytest.mark.parametrize(
    ("feature", "whose", "expected"),
    [
        pytest.param("sso", holder(grant("pro")), {"granted": True, "reason": "granted"}, id="boolean: any grant"),
        pytest.param("sso", holder(), {"granted": False, "reason": "feature_unavailable"}, id="nothing gives it"),
        pytest.param(
            "sso",
            holder(grant("pro"), grant("pro", 1, "sub_2", standing=ENDED)),
            {"granted": True},
            id="what two subscriptions give survives the loss of one",
        ),
        pytest.param("region", holder(grant("pro")), {"granted": True, "value": "eu"}, id="config"),
        pytest.param(
            "region",
            holder(grant("pro"), overrides=(override("region", Terms(value="us")),)),
            {"value": "us"},
            id="config: an override goes first",
        ),
        pytest.param(
            "calls", holder(grant("pro"), grant("team")), {"limit": 3000}, id="overlapping bases: the highest"
        ),
        pytest.param("seats", holder(grant("pro"), grant("team")), {"limit": 10}, id="of each feature by itself"),
        pytest.param(
            "seats", holder(grant("pro"), grant("extra-seats", times=3)), {"limit": 25}, id="add-on: limit × quantity"
        ),
        pytest.param(
            "seats",
            holder(grant("extra-seats", times=2), grant("extra-seats", 1, "sub_2", times=1)),
            {"limit": 15},
            id="add-ons of two subscriptions add",
        ),
        pytest.param(
            "calls",
            holder(grant("pro"), grant("endless")),
            {"limit": None, "unlimited": True},
            id="unlimited dominates",
        ),
        pytest.param(
            "seats",
            holder(grant(None, feature="seats", terms=Terms(limit=1), times=7)),
            {"limit": 7},
            id="a price mapped to a feature, on its own terms",
        ),
        pytest.param(
            "calls",
            holder(grant("pro"), overrides=(override("calls", Terms(limit=50)),)),
            {"limit": 1050},
            id="an override adds",
        ),
        pytest.param(
            "calls",
            holder(grant("pro"), overrides=(override("calls", Terms(limit=50), operation="replace"),)),
            {"limit": 50},
            id="or replaces",
        ),
        pytest.param(
            "calls",
            holder(grant("pro"), overrides=(override("calls", Terms(limit=50), operation="replace", expires_at=NOW),)),
            {"limit": 1000},
            id="until it expires",
        ),
        pytest.param(
            "sso",
            holder(overrides=(override(package="pro", version=1),)),
            {"granted": True},
            id="a hub-only package is given by an override",
        ),
        pytest.param("calls", holder(grant("pro", 2)), {"limit": 500}, id="each on its version of the package"),
        pytest.param(
            "calls",
            holder(grant("pro"), used={("calls", "package:month", MONTH): 1000}),
            {"granted": False, "reason": "usage_limit_reached", "remaining": 0, "used": 1000},
            id="used up",
        ),
        pytest.param(
            "calls",
            holder(grant("pro", 2), used={("calls", "package:month", MONTH): 700}),
            {"granted": False, "reason": "over_limit", "remaining": 0, "used": 700, "limit": 500},
            id="used over a lowered limit",
        ),
        pytest.param(
            "calls",
            holder(grant("pro", anchor=NOW - DAY), used={("calls", "package:month", MONTH): 1000}),
            {"granted": False, "used": 1000, "remaining": 0, "resets_at": NEXT},
            id="what another anchor's period has used counts until that is over",
        ),
        pytest.param(
            "calls",
            holder(grant("pro"), used={("calls", "package:day", MONTH): 400}),
            {"used": 400, "remaining": 600},
            id="and what was used under another reset",
        ),
        pytest.param(
            "calls",
            holder(grant("pro"), used={("calls", "package:never", EPOCH): 400}),
            {"used": 0, "remaining": 1000},
            id="but not for ever what was used while it never reset",
        ),
        pytest.param(
            "seats",
            holder(used={("seats", "package:never", EPOCH): 8}),
            {"granted": False, "reason": "feature_unavailable", "used": 8, "limit": None},
            id="seats that are taken while nothing gives any",
        ),
        pytest.param(
            "calls",
            holder(grant("pro"), grant("daily")),
            {"limit": 100, "reset": "day"},
            id="of bases with different resets the one that gives most in a year",
        ),
        pytest.param(
            "calls",
            holder(grant("pro"), grant("daily"), grant("more-calls")),
            {"limit": 150, "reset": "day"},
            id="an add-on that says no reset follows it",
        ),
        pytest.param(
            "calls",
            holder(grant("pro"), grant("endless", times=0)),
            {"limit": 1000, "unlimited": False},
            id="an item of quantity 0 gives nothing, though it were unlimited",
        ),
        pytest.param(
            "sso",
            holder(grant("pro", times=0)),
            {"granted": False, "reason": "feature_unavailable"},
            id="nor a boolean",
        ),
        pytest.param(
            "seats",
            holder(grant("pro"), used={("seats", "package:never", EPOCH): 12}),
            {"granted": False, "reason": "over_limit", "limit": 10, "used": 12},
            id="seats taken while an add-on gave them still count",
        ),
    ],
)
def test_resolution(feature: str, whose: Holder, expected: dict[str, Any]) -> None:
    found = of(feature, whose)
    assert {name: getattr(found, name) for name in expected} == expected


def test_the_default_package_holds_for_whoever_has_no_base_package() -> None:
    assert of("calls", holder(), WITH_DEFAULT).limit == 10
    assert of("calls", holder(grant("extra-seats")), WITH_DEFAULT).limit == 10
    assert of("calls", holder(grant("pro")), WITH_DEFAULT).limit == 1000
    assert of("calls", holder(grant("pro", standing=ENDED)), WITH_DEFAULT).limit == 10
    assert of("calls", holder(grant("pro", times=0)), WITH_DEFAULT).limit == 10
    assert of("sso", holder(grant("pro", times=0))).sources[0].access.reason == "the item's quantity is 0"
    assert [one.package for one in held(holder(), WITH_DEFAULT, NOW)] == ["free"]


def test_an_answer_lists_what_gives_and_what_gave_with_the_path() -> None:
    found = of("seats", holder(grant("pro"), grant("extra-seats", standing=Standing("unpaid"))))
    assert [(one.kind, one.access.granted) for one in found.sources] == [("base", True), ("add_on", False)]
    assert found.sources[0].via == {
        "connection": "acme",
        "customer": "cus_1",
        "subscription": "sub_1",
        "item": "si_pro_sub_1",
        "price": "price_pro",
        "mapping": 1,
        "package": "pro",
        "version": 1,
    }
    assert found.sources[1].access.reason == "the subscription is unpaid"


def test_an_answer_says_until_when_it_surely_holds() -> None:
    ending = Standing("active", ends_at=NOW + 5 * DAY)
    assert of("sso", holder(grant("pro", standing=ending))).until == NOW + 5 * DAY
    expiring = override("calls", Terms(limit=5), expires_at=NOW + DAY)
    assert of("calls", holder(grant("pro"), overrides=(expiring,))).until == NOW + DAY


def test_usage_resets_at_the_end_of_the_period() -> None:
    assert of("calls", holder(grant("pro"))).resets_at == datetime(2026, 3, 31, tzinfo=UTC)
    assert of("seats", holder(grant("pro"))).resets_at is None


def test_debits_are_taken_from_highest_priority_earliest_expiry_oldest() -> None:
    overrides = (
        override("calls", Terms(limit=5), id=1, expires_at=NOW + 9 * DAY),
        override("calls", Terms(limit=5), id=2, expires_at=NOW + 3 * DAY),
        override("calls", Terms(limit=5), id=3, expires_at=NOW + 30 * DAY, priority=1),
    )
    found = of("calls", holder(grant("pro"), overrides=overrides))
    assert found.limit == 1015
    debits = take(found.buckets, 17)
    assert [(one.bucket, one.amount) for one in debits] == [
        ("override:3", 5),
        ("override:2", 5),
        ("override:1", 5),
        ("package:month", 2),
    ]


def test_an_override_without_a_reset_has_the_features_whether_it_expires_or_not() -> None:
    for expires in (None, NOW + 60 * DAY):
        giving = override("calls", Terms(limit=50), since=START, expires_at=expires)
        alone = of("calls", holder(overrides=(giving,)))
        assert (alone.limit, alone.reset, alone.resets_at) == (50, "month", NEXT)
        beside = of("calls", holder(grant("pro"), overrides=(giving,)))
        assert (beside.limit, beside.reset, beside.resets_at) == (1050, "month", NEXT)
        in_all = override("calls", Terms(limit=50, reset="never"), expires_at=expires)
        assert of("calls", holder(overrides=(in_all,))).resets_at is None


def test_what_an_expired_override_gave_and_was_used_is_over_with_it() -> None:
    expired = override("calls", Terms(limit=100), expires_at=NOW - DAY)
    used = {("calls", "override:7", EPOCH): 60, ("calls", "package:month", MONTH): 999}
    found = of("calls", holder(grant("pro"), overrides=(expired,), used=used))
    assert (found.limit, found.used, found.remaining) == (1000, 999, 1)


def test_seats_taken_on_an_expired_override_are_still_taken() -> None:
    expired = override("seats", Terms(limit=2), expires_at=NOW - DAY)
    used = {("seats", "override:7", EPOCH): 2, ("seats", "package:never", EPOCH): 10}
    found = of("seats", holder(grant("pro"), overrides=(expired,), used=used))
    assert (found.reason, found.limit, found.used) == ("over_limit", 10, 12)
    assert give_back(found.buckets, 3) == [Debit("override:7", EPOCH, -2), Debit("package:never", EPOCH, -1)]


def bucket(limit: int | None, used: int, key: str) -> Bucket:
    return Bucket(key, limit, used, EPOCH, None, EPOCH)


BUCKETS = st.lists(st.tuples(st.none() | st.integers(0, 20), st.integers(0, 25)), min_size=1, max_size=4).map(
    lambda drawn: [bucket(limit, used, str(n)) for n, (limit, used) in enumerate(drawn)]
)


@given(BUCKETS, st.integers(1, 60))
def test_a_debit_is_taken_whole_or_not_at_all_and_can_be_given_back(buckets: list[Bucket], amount: int) -> None:
    debits = take(buckets, amount)
    unlimited = any(one.limit is None for one in buckets)
    left = sum((one.limit or 0) - one.used for one in buckets)
    assert sum(one.amount for one in debits) == (amount if unlimited or amount <= left else 0)
    taken = {one.bucket: one.amount for one in debits}
    after = [replace(one, used=one.used + taken.get(one.key, 0)) for one in buckets]
    back = give_back(after, amount)
    assert -sum(one.amount for one in back) == min(amount, sum(one.used for one in after))
    returned = {one.bucket: one.amount for one in back}
    assert all(one.used + returned.get(one.key, 0) >= 0 for one in after)

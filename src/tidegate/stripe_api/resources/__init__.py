"""The registry: ONE row per mirrored Stripe object. Adding an object to the mirror is adding a row here."""

from collections.abc import Sequence
from difflib import get_close_matches

from tidegate.errors import ResourceNotListed, ResourceUnknown
from tidegate.stripe_api.resources.account import ACCOUNTS
from tidegate.stripe_api.resources.catalog import COUPONS, PRICES, PRODUCTS, PROMOTION_CODES, TAX_RATES
from tidegate.stripe_api.resources.credits import CREDIT_NOTE_LINES, CREDIT_NOTES
from tidegate.stripe_api.resources.customers import CUSTOMERS
from tidegate.stripe_api.resources.discounts import DISCOUNTS
from tidegate.stripe_api.resources.entitlements import ENTITLEMENT_FEATURES, PRODUCT_FEATURES
from tidegate.stripe_api.resources.invoices import INVOICE_ITEMS, INVOICE_LINES, INVOICE_PAYMENTS, INVOICES
from tidegate.stripe_api.resources.meters import METERS
from tidegate.stripe_api.resources.payments import CHARGES, DISPUTES, PAYMENT_INTENTS, PAYMENT_METHODS, REFUNDS
from tidegate.stripe_api.resources.quotes import QUOTE_LINES, QUOTES
from tidegate.stripe_api.resources.resource import Resource
from tidegate.stripe_api.resources.subscriptions import SUBSCRIPTION_ITEMS, SUBSCRIPTION_SCHEDULES, SUBSCRIPTIONS
from tidegate.stripe_api.resources.test_clocks import TEST_CLOCKS

# What refers comes after what it refers to, so that an import in this order finds its parents stored.
_IN_ORDER = (
    ACCOUNTS,
    TEST_CLOCKS,
    PRODUCTS,
    ENTITLEMENT_FEATURES,
    PRODUCT_FEATURES,
    METERS,
    PRICES,
    COUPONS,
    TAX_RATES,
    CUSTOMERS,
    PROMOTION_CODES,
    PAYMENT_METHODS,
    SUBSCRIPTIONS,
    SUBSCRIPTION_ITEMS,
    SUBSCRIPTION_SCHEDULES,
    INVOICES,
    INVOICE_LINES,
    INVOICE_ITEMS,
    INVOICE_PAYMENTS,
    DISCOUNTS,
    QUOTES,
    QUOTE_LINES,
    CHARGES,
    PAYMENT_INTENTS,
    REFUNDS,
    DISPUTES,
    CREDIT_NOTES,
    CREDIT_NOTE_LINES,
)

RESOURCES: dict[str, Resource] = {each.name: each for each in _IN_ORDER}

by_object: dict[str, Resource] = {each.object: each for each in RESOURCES.values()}
"""The resource of Stripe's `object`, as events name it."""


def all_listed(*, livemode: bool) -> list[Resource]:
    """Every resource that an account of that mode lists."""
    return [one for one in RESOURCES.values() if one.path and not (livemode and one.test_mode_only)]


def to_import(names: Sequence[str], *, livemode: bool) -> list[Resource]:
    """The named resources, all that are listed without names, in the registry's order for those; what has objects on
    test clocks brings the clocks along, without which these would be read by nobody. Raises ResourceUnknown, and
    ResourceNotListed for what cannot be read by itself.
    """
    chosen = list(dict.fromkeys(_by_itself(name, livemode) for name in names))
    by_clock = any(one.by_clock(variant) for one in chosen for variant in range(len(one.variants)))
    if by_clock and not livemode and TEST_CLOCKS not in chosen:
        chosen.insert(0, TEST_CLOCKS)
    return chosen or all_listed(livemode=livemode)


def _by_itself(name: str, livemode: bool) -> Resource:
    """The resource of that name, whose list can be read."""
    found = resource(name)
    if livemode and found.test_mode_only:
        raise ResourceNotListed(name=name, reason="Stripe has them in test mode only, and this account is live.")
    if found.path:
        return found
    inside = listed(name)
    if inside is not found:
        raise ResourceNotListed(
            name=name, reason=f"they come inside {inside.name} and are stored with them. Ask for {inside.name}."
        )
    asked = " or ".join(filter(None, [", ".join(found.stands_in[:-1]), found.stands_in[-1]]))
    reason = f"Stripe lists them nowhere: events bring them, and each stands in what it applies to. Ask for {asked}."
    raise ResourceNotListed(name=name, reason=reason)


def resource(name: str) -> Resource:
    """The resource of that name; raises ResourceUnknown with the nearest name and all that are known."""
    found = RESOURCES.get(name)
    if found is None:
        near = get_close_matches(name, RESOURCES, n=1)
        raise ResourceUnknown(
            name=name, nearest=f" Did you mean {near[0]}?" if near else "", known=", ".join(sorted(RESOURCES))
        )
    return found


def listed(name: str) -> Resource:
    """The resource whose list shows objects of that name: itself, or for what comes inside another (the lines of an
    invoice) that other. Raises ResourceUnknown as `resource` does.
    """
    found = resource(name)
    if found.path is not None:
        return found
    return next((each for each in _IN_ORDER if any(one.resource == name for one in each.nested)), found)


def resource_of_key(key: str) -> str:
    """The resource's name in `name` or `name/id`, as problems of an import are keyed; names may hold a slash."""
    return max((name for name in RESOURCES if key == name or key.startswith(f"{name}/")), key=len, default=key)

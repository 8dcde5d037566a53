"""The registry: ONE row per mirrored Stripe object. Adding an object to the mirror is adding a row here."""

from difflib import get_close_matches

from tidegate.errors import ResourceUnknown
from tidegate.stripe_api.resources.catalog import COUPONS, PRICES, PRODUCTS, PROMOTION_CODES, TAX_RATES
from tidegate.stripe_api.resources.customers import CUSTOMERS
from tidegate.stripe_api.resources.invoices import INVOICE_ITEMS, INVOICE_LINES, INVOICE_PAYMENTS, INVOICES
from tidegate.stripe_api.resources.resource import Resource
from tidegate.stripe_api.resources.subscriptions import SUBSCRIPTION_ITEMS, SUBSCRIPTIONS

RESOURCES: dict[str, Resource] = {
    each.name: each
    for each in (
        # What refers comes after what it refers to, so that an import in this order finds its parents stored.
        PRODUCTS,
        PRICES,
        COUPONS,
        TAX_RATES,
        CUSTOMERS,
        PROMOTION_CODES,
        SUBSCRIPTIONS,
        SUBSCRIPTION_ITEMS,
        INVOICES,
        INVOICE_LINES,
        INVOICE_ITEMS,
        INVOICE_PAYMENTS,
    )
}

by_object: dict[str, Resource] = {each.object: each for each in RESOURCES.values()}
"""The resource of Stripe's `object`, as events name it."""


def resource(name: str) -> Resource:
    """The resource of that name; raises ResourceUnknown with the nearest name and all that are known."""
    found = RESOURCES.get(name)
    if found is None:
        near = get_close_matches(name, RESOURCES, n=1)
        raise ResourceUnknown(
            name=name, nearest=f" Did you mean {near[0]}?" if near else "", known=", ".join(sorted(RESOURCES))
        )
    return found

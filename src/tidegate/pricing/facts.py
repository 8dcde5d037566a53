"""What pricing is given: a subscription with its items, and all that their amounts depend on, as Stripe told it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from tidegate.stripe_api.shapes.catalog import Coupon, Price, TaxRate
from tidegate.stripe_api.shapes.discounts import Discount, Discounts
from tidegate.stripe_api.shapes.lines import InvoiceLine
from tidegate.stripe_api.shapes.subscriptions import Subscription, SubscriptionItem


@dataclass(frozen=True, slots=True)
class Facts:
    """A subscription as it stood at one instant, in whatever API version; objects by their Stripe ids.

    `prices` tell what an item's own price leaves out (tiers, other currencies), `coupons` what they are limited to,
    `discounts` and `tax_rates` what is named by id alone. `customer_discounts` are the customer's own. `lines` are, by
    item, those that the last finalised invoice had for it, prorations left out. `past_due_since`: epoch seconds.
    """

    subscription: Subscription
    items: Sequence[SubscriptionItem]
    prices: Mapping[str, Price] = field(default_factory=dict[str, Price])
    coupons: Mapping[str, Coupon] = field(default_factory=dict[str, Coupon])
    discounts: Mapping[str, Discount] = field(default_factory=dict[str, Discount])
    tax_rates: Mapping[str, TaxRate] = field(default_factory=dict[str, TaxRate])
    customer_discounts: Sequence[Discount] = ()
    lines: Mapping[str, Sequence[InvoiceLine]] = field(default_factory=dict[str, Sequence[InvoiceLine]])
    past_due_since: int | None = None

    @property
    def currency(self) -> str:
        """Of all amounts: the subscription's, lower case."""
        told = self.subscription.currency or next((item.currency for item in self.items if item.currency), None)
        return (told or "").lower()

    def past_due(self, since: int) -> "Facts":
        """The same of a subscription that has been past due since an instant."""
        return replace(self, past_due_since=since)

    def price_of(self, item: SubscriptionItem) -> Price | None:
        """The item's price: the one with all its tiers and currencies where that is known, else the item's own."""
        return self.prices.get(item.price or "") or item.terms

    def coupon_of(self, discount: Discount) -> Coupon | None:
        """What a discount takes off: the coupon that says what it is limited to where that is known."""
        return self.coupons.get(discount.coupon or "") or discount.terms

    def told(self, discounts: Discounts | None, single: str | Discount | None = None) -> list[Discount]:
        """The discounts of an object in order, those named by id alone looked up; the older `discount` if alone."""
        named = list(discounts or ()) or ([single] if single is not None else [])
        found = [self.discounts.get(one) if isinstance(one, str) else one for one in named]
        return [one for one in found if one is not None]

    def rates(self, named: Sequence[str | TaxRate] | None) -> list[TaxRate]:
        """Tax rates, those named by id alone looked up."""
        found = [self.tax_rates.get(one) if isinstance(one, str) else one for one in named or ()]
        return [one for one in found if one is not None]

"""What pricing is given: a subscription with its items, and all that their amounts depend on, as Stripe told it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from tidegate.pricing.terms import tells
from tidegate.stripe_api.shapes.catalog import Coupon, Price, TaxRate
from tidegate.stripe_api.shapes.discounts import Discount, Discounts
from tidegate.stripe_api.shapes.lines import InvoiceLine
from tidegate.stripe_api.shapes.schedules import SubscriptionSchedule
from tidegate.stripe_api.shapes.subscriptions import Subscription, SubscriptionItem


@dataclass(frozen=True, slots=True)
class Facts:
    """A subscription as it stood at one instant, in whatever API version; objects by their Stripe ids.

    `prices` tell what an item's own price leaves out (tiers, other currencies), `coupons` what they are limited to,
    `discounts` and `tax_rates` what is named by id alone. `customer_discounts` are the customer's own. `lines` are, by
    item, those that the last finalised invoice had for it, prorations left out. `past_due_since`: epoch seconds.
    `schedule` is the one that manages the subscription.
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
    schedule: SubscriptionSchedule | None = None

    @property
    def currency(self) -> str:
        """Of all amounts: the subscription's, lower case."""
        told = self.subscription.currency or next((item.currency for item in self.items if item.currency), None)
        return (told or "").lower()

    def past_due(self, since: int) -> "Facts":
        """The same of a subscription that has been past due since an instant."""
        return replace(self, past_due_since=since)

    def price_of(self, item: SubscriptionItem, currency: str) -> Price | None:
        """The item's price: its own where that tells an amount in the currency, since a plan's id may have been used
        again since; else the known one.
        """
        own = item.terms
        if not self.prices or (own is not None and tells(own, currency)):
            return own
        return self.prices.get(item.price or "") or own

    def coupon_of(self, discount: Discount) -> Coupon | None:
        """What a discount takes off. The known coupon also says what it is limited to; it counts only where it takes
        off the same as the discount's own, since a coupon's id may have been used again since.
        """
        own = discount.terms
        known = self.coupons.get(discount.coupon or "") if self.coupons else None
        if own is None or known is None:
            return own or known
        return known if _takes(known) == _takes(own) else own

    def told(self, discounts: Discounts | None, single: str | Discount | None = None) -> list[Discount]:
        """The discounts of an object in order, as far as they are known; see `named`."""
        return [one for one in self.named(discounts, single) if isinstance(one, Discount)]

    def named(self, discounts: Discounts | None, single: str | Discount | None = None) -> list[str | Discount]:
        """The discounts of an object in order, without deleted ones; the older `discount` if alone. One that is named
        by id alone is looked up, and stays an id where it is not known.
        """
        told = discounts or ([single] if single is not None else [])
        found = [self.discounts.get(one, one) if isinstance(one, str) else one for one in told]
        return [one for one in found if isinstance(one, str) or not one.deleted]

    def rates(self, named: Sequence[str | TaxRate] | None) -> list[str | TaxRate]:
        """Tax rates, those named by id alone looked up; an id is left where it is not known."""
        return [self.tax_rates.get(one, one) if isinstance(one, str) else one for one in named or ()]


def _takes(coupon: Coupon) -> tuple[object, ...]:
    return coupon.percent, coupon.amount_off, coupon.currency, coupon.duration, coupon.duration_in_months

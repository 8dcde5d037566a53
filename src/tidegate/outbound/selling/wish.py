"""What is wanted of a contact's subscription, checked by itself. Pure."""

from dataclasses import asdict, dataclass
from typing import Any, Literal, get_args

from tidegate.errors import SaleInvalid

Action = Literal["subscribe", "change", "cancel"]
Interval = Literal["day", "week", "month", "year"]
Prorations = Literal["create_prorations", "always_invoice", "none"]
Collection = Literal["charge_automatically", "send_invoice"]
Payment = Literal["error_if_incomplete", "allow_incomplete", "default_incomplete"]

LONGEST_TRIAL = 730
"""Days (docs.stripe.com/api/subscriptions/create)."""
ONLY_NEW = ("trial_days", "collection_method", "days_until_due", "coupon", "promotion_code")
"""What a new subscription takes and no other."""
OF_PRICE = ("price", "interval", "currency", "quantity")
OF_END = ("now", "prorate", "invoice_now", "undo")


@dataclass(frozen=True, slots=True)
class Wish:
    """What is wanted. Names and values are Stripe's, but `package`, and `now` and `undo` of a cancellation.

    `price`, or `interval` and `currency`, say which of the package's prices; `customer` and `subscription` which of the
    contact's where it has several.
    """

    action: Action
    package: str
    price: str | None = None
    interval: Interval | None = None
    currency: str | None = None
    quantity: int | None = None
    trial_days: int | None = None
    collection_method: Collection | None = None
    days_until_due: int | None = None
    coupon: str | None = None
    promotion_code: str | None = None
    customer: str | None = None
    subscription: str | None = None
    proration_behavior: Prorations | None = None
    payment_behavior: Payment | None = None
    now: bool = False
    prorate: bool = False
    invoice_now: bool = False
    undo: bool = False

    def as_json(self) -> dict[str, Any]:
        """What was said of it, as JSON: two wishes are one when this is the same."""
        return {name: value for name, value in asdict(self).items() if value not in (None, False)}

    @property
    def payment(self) -> str:
        """What becomes of it when its first payment fails: unless told otherwise, nothing is done."""
        return self.payment_behavior or "error_if_incomplete"


def check(wish: Wish) -> Wish:
    """The same wish. Raises SaleInvalid for what contradicts itself."""
    said = wish.as_json()
    others = {"subscribe": OF_END, "change": (*OF_END, *ONLY_NEW), "cancel": (*OF_PRICE, *ONLY_NEW)}[wish.action]
    if wrong := [name for name in others if name in said]:
        raise SaleInvalid(problem=f"{option(wrong[0])} is nothing that `tidegate {wish.action}` takes.")
    _among(wish, "interval", Interval)
    _among(wish, "proration_behavior", Prorations)
    _among(wish, "collection_method", Collection)
    _among(wish, "payment_behavior", Payment)
    if wish.quantity is not None and wish.quantity < 1:
        raise SaleInvalid(problem=f"--quantity is {wish.quantity}; it is 1 or more. `tidegate cancel` ends it.")
    if wish.trial_days is not None and not 1 <= wish.trial_days <= LONGEST_TRIAL:
        raise SaleInvalid(problem=f"--trial-days is {wish.trial_days}; a trial has 1 to {LONGEST_TRIAL} days.")
    sends = wish.collection_method == "send_invoice"
    if sends != (wish.days_until_due is not None):
        raise SaleInvalid(
            problem="--collection-method send_invoice and --days-until-due N go together: the days that the customer "
            "has to pay an invoice."
        )
    if wish.coupon and wish.promotion_code:
        raise SaleInvalid(problem="Use --coupon or --promotion-code, not both.")
    if wish.payment_behavior == "default_incomplete" and wish.action == "change":
        raise SaleInvalid(problem="--payment-behavior default_incomplete is for new subscriptions.")
    _check_end(wish)
    return wish


def _check_end(wish: Wish) -> None:
    if (wish.prorate or wish.invoice_now) and not wish.now:
        raise SaleInvalid(
            problem="--prorate and --invoice-now go with --now: at the end of its period nothing is left to give back."
        )
    if wish.undo and wish.now:
        raise SaleInvalid(problem="--undo takes back an end that is still to come; it does not go with --now.")


def _among(wish: Wish, name: str, kind: Any) -> None:
    value, known = getattr(wish, name), get_args(kind)
    if value is not None and value not in known:
        raise SaleInvalid(problem=f"{option(name)} is {value!r}; use {', '.join(known[:-1])} or {known[-1]}.")


def option(name: str) -> str:
    """A field of a wish as the command line spells it."""
    return f"--{name.replace('_', '-')}"


def needs_prorations(wish: Wish, what: str) -> str:
    """How a change of a running subscription is prorated. Raises SaleInvalid where nobody said: it is money."""
    if wish.proration_behavior is None:
        raise SaleInvalid(
            problem=f"{what} in the middle of its period: say --proration-behavior create_prorations (the difference "
            "comes with the next invoice), always_invoice (it is invoiced now) or none (the new price holds from the "
            "next period on)."
        )
    return wish.proration_behavior

"""`tidegate subscribe|change|cancel`: a contact's subscription in Stripe, shown first, then started or changed."""

import sys
from collections.abc import Callable
from functools import wraps
from inspect import Parameter, signature
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from tidegate.cli.options import AsJson, ConnectionName
from tidegate.cli.previews import Token

if TYPE_CHECKING:
    from tidegate.outbound.selling.wish import Wish

Contact = Annotated[str, typer.Argument(metavar="CONTACT", help="Its id, present or former.")]
Package = Annotated[str, typer.Argument(metavar="PACKAGE", help="Its key, as `tidegate packages list` shows.")]
PriceId = Annotated[str | None, typer.Option("--price", metavar="ID", help="This of the package's prices.")]
Interval = Annotated[
    Literal["day", "week", "month", "year"] | None, typer.Option(help="The package's price of this interval.")
]
Currency = Annotated[str | None, typer.Option(metavar="CODE", help="The package's price in this currency.")]
Quantity = Annotated[int | None, typer.Option(metavar="N", help="So many; 1 where nothing is said.")]
CustomerId = Annotated[str | None, typer.Option("--customer", metavar="ID", help="Which, of several of the contact's.")]
SubscriptionId = Annotated[
    str | None, typer.Option("--subscription", metavar="ID", help="Which, of several of the contact's.")
]
Prorations = Annotated[
    Literal["create_prorations", "always_invoice", "none"] | None,
    typer.Option(
        "--proration-behavior",
        help="Of a change within a period: the difference comes with the next invoice, is invoiced now, or is not "
        "charged.",
    ),
]
Previewed = Annotated[bool, typer.Option("--preview", help="Only show what it would do and cost, with a token for it.")]
Yes = Annotated[bool, typer.Option("--yes", help="Do not ask.")]


def _carry_out(
    contact: Contact,
    wish: Any,
    preview: Previewed = False,
    yes: Yes = False,
    token: Token = None,
    connection: ConnectionName = None,
    as_json: AsJson = False,
) -> None:
    """Looks at a wish (`wish.Wish`), asks where somebody can be asked, and does it."""
    from tidegate.cli import show
    from tidegate.cli.hub import opened
    from tidegate.cli.subscriptions_shown import say
    from tidegate.cli.who import person
    from tidegate.workflows.selling import sell

    asks = not (preview or yes or token or as_json) and sys.stdin.isatty()
    with opened(may_migrate=True) as hub:
        account = hub.account(connection)
        doors = sell.Doors(hub.engine, hub.stripe, hub.stripe_writing)
        found: dict[str, Any]
        if preview or asks:
            found = sell.preview(doors, account, contact, wish)
        else:
            found = sell.carry_out(doors, account, contact, wish, person(), token, anyway=yes)
        if asks and found["state"] == "preview":
            say(found)
            typer.confirm("Do it?", abort=True, err=True)
            found = sell.carry_out(doors, account, contact, wish, person(), found["token"])
    if as_json:
        show.document(found)
    else:
        say(found)
    if found["state"] in {"incomplete", "unpaid"}:
        raise typer.Exit(1)


def _command(wish_of: Callable[..., "Wish"]) -> Callable[..., None]:
    """The command that carries out the wish which a function makes of its options; beside them it takes the contact,
    and how it is to be done, as all of these commands do.
    """
    own, common = signature(wish_of), dict(signature(_carry_out).parameters)
    contact, how = common.pop("contact"), [one for one in common.values() if one.default is not Parameter.empty]

    @wraps(wish_of)
    def command(**said: Any) -> None:
        done = {one.name: said.pop(one.name) for one in how}
        _carry_out(said.pop("contact"), wish_of(**said), **done)

    taken = [contact, *own.parameters.values(), *how]
    command.__annotations__ = {one.name: one.annotation for one in taken} | {"return": None}
    command.__signature__ = own.replace(parameters=taken, return_annotation=None)  # pyright: ignore[reportAttributeAccessIssue]
    return command


@_command
def subscribe(
    package: Package,
    price: PriceId = None,
    interval: Interval = None,
    currency: Currency = None,
    quantity: Quantity = None,
    trial_days: Annotated[int | None, typer.Option(metavar="N", help="Begins with a trial of so many days.")] = None,
    collection_method: Annotated[
        Literal["charge_automatically", "send_invoice"] | None,
        typer.Option(help="Whether the customer is charged, which is so unless said, or is sent invoices."),
    ] = None,
    days_until_due: Annotated[
        int | None, typer.Option(metavar="N", help="Days to pay an invoice that is sent.")
    ] = None,
    coupon: Annotated[str | None, typer.Option(metavar="ID", help="A coupon for it.")] = None,
    promotion_code: Annotated[str | None, typer.Option(metavar="CODE", help="Or a promotion code.")] = None,
    proration_behavior: Prorations = None,
    payment_behavior: Annotated[
        Literal["error_if_incomplete", "allow_incomplete", "default_incomplete"] | None,
        typer.Option(
            help="When the first payment fails: nothing is bought, which is so unless said; or the subscription waits, "
            "incomplete, for its payment; default_incomplete does not try to charge at all."
        ),
    ] = None,
    customer: CustomerId = None,
    subscription: SubscriptionId = None,
) -> "Wish":
    """Start a contact's subscription to a package in Stripe; an add-on is added to the subscription that runs.

    A contact without a customer gets one. What is granted is what Stripe then shows.
    """
    from tidegate.outbound.selling.wish import Wish

    return Wish(
        "subscribe", package, price, interval, currency, quantity, trial_days, collection_method, days_until_due,
        coupon, promotion_code, customer, subscription, proration_behavior, payment_behavior,
    )  # fmt: skip


@_command
def change(
    package: Package,
    price: PriceId = None,
    interval: Interval = None,
    currency: Currency = None,
    quantity: Quantity = None,
    proration_behavior: Prorations = None,
    payment_behavior: Annotated[
        Literal["error_if_incomplete", "allow_incomplete"] | None,
        typer.Option(help="When what it bills now is not paid: nothing is changed, which is so unless said; or it is."),
    ] = None,
    customer: CustomerId = None,
    subscription: SubscriptionId = None,
) -> "Wish":
    """Switch a contact's subscription to another base package, price or quantity; its add-ons stay.

    Of an add-on it changes the price or the quantity.
    """
    from tidegate.outbound.selling.wish import Wish

    return Wish(
        "change", package, price, interval, currency, quantity, customer=customer, subscription=subscription,
        proration_behavior=proration_behavior, payment_behavior=payment_behavior,
    )  # fmt: skip


@_command
def cancel(
    package: Package,
    now: Annotated[bool, typer.Option("--now", help="At once; else with its period.")] = False,
    prorate: Annotated[bool, typer.Option("--prorate", help="With --now: credit what is left of the period.")] = False,
    invoice_now: Annotated[
        bool, typer.Option("--invoice-now", help="With --now: bill at once what waits for the next invoice.")
    ] = False,
    undo: Annotated[bool, typer.Option("--undo", help="Take back an end that is still to come.")] = False,
    proration_behavior: Prorations = None,
    customer: CustomerId = None,
    subscription: SubscriptionId = None,
) -> "Wish":
    """End a contact's subscription to a package with its period, or now; of an add-on beside others only its item."""
    from tidegate.outbound.selling.wish import Wish

    return Wish(
        "cancel", package, customer=customer, subscription=subscription, proration_behavior=proration_behavior,
        now=now, prorate=prorate, invoice_now=invoice_now, undo=undo,
    )  # fmt: skip

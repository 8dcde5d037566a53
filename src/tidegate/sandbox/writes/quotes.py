"""Quotes: drafted, finalized, accepted, which starts a subscription, or canceled."""

from tidegate.sandbox import contracts
from tidegate.sandbox.amounts import amount_of
from tidegate.sandbox.answers import Refusal
from tidegate.sandbox.contracts import Terms
from tidegate.sandbox.objects import quotes
from tidegate.sandbox.resources import Obj, part
from tidegate.sandbox.writes.calls import Call, Write, metadata, needs, needs_value, taken
from tidegate.sandbox.writes.items import Wish, fits, wish
from tidegate.sandbox.writes.prices import keep
from tidegate.sandbox.writes.subscriptions import one_currency
from tidegate.sandbox.writes.trials import later

PLAIN = ("description", "expires_at", "footer", "header", "collection_method")
SERVED = (
    *PLAIN,
    "customer",
    "invoice_settings[days_until_due]",
    "metadata",
    *(f"line_items[{name}]" for name in ("price", "price_data", "quantity")),
)


def create(call: Call) -> Obj:
    """A draft of an offer to a customer over recurring prices."""
    needs(call.given, "customer", "line_items")
    customer = call.referred("customers", call.given["customer"], "customer")
    wishes = wishes_of(call, customer["id"])
    changes = fields(call, {})
    return call.stored(built(call, call.world.ids.new("qt_1", 23), customer["id"], wishes) | changes, "quote.created")


def wishes_of(call: Call, customer: str) -> list[Wish]:
    """The lines asked for, checked. Raises Refusal (400)."""
    given: list[Obj] = call.given["line_items"]
    wishes = [wish(call, one, None, customer, f"line_items[{position}]") for position, one in enumerate(given)]
    fits(wishes, None)
    return wishes


def built(call: Call, identifier: str, customer: str, wishes: list[Wish]) -> Obj:
    """A new quote over the wished lines."""
    lines: list[Obj] = []
    for one in wishes:
        assert one.price is not None
        keep(call, one.price)
        quantity = one.quantity or 0
        name = call.state.full("products", one.price["product"])["name"]
        line = quotes.quote_line(
            call.world.ids.new("li_1", 23), one.price, quantity, amount_of(one.price, quantity), name
        )
        lines.append(line)
    return quotes.quote(identifier, call.now, customer, lines)


def fields(call: Call, known: Obj) -> Obj:
    """What the parameters set besides the lines. Raises Refusal (400)."""
    given = call.given
    needs_value(given, "expires_at", "collection_method")
    if given.get("expires_at") is not None:
        later(call, given["expires_at"], "expires_at")
    changes = taken(given, *PLAIN) | metadata(known.get("metadata", {}), given)
    days: int | None = part(given, "invoice_settings").get("days_until_due")
    if days is not None:
        settings: Obj = known.get("invoice_settings", quotes.INVOICE_SETTINGS)
        changes["invoice_settings"] = settings | {"days_until_due": days}
    return changes


def update(call: Call) -> Obj:
    """Changes a draft; Stripe has no event for that."""
    quote = in_status(call, "draft", "updated")
    changes = fields(call, quote)
    if call.given.get("customer"):
        quote["customer"] = call.referred("customers", call.given["customer"], "customer")["id"]
    if call.given.get("line_items"):
        fresh = built(call, quote["id"], quote["customer"], wishes_of(call, quote["customer"]))
        names = ("amount_subtotal", "amount_total", "computed", "currency", "line_items", "total_details")
        quote |= {name: fresh[name] for name in names}
    return call.stored(quote | changes)


def in_status(call: Call, status: str, verb: str) -> Obj:
    """The quote that the path names. Raises Refusal (400) when it is not in this status."""
    quote = call.addressed("quotes")
    if quote["status"] not in status.split(" or "):
        raise Refusal(
            400, f"This quote cannot be {verb} because it is {quote['status']}: it must be {status}.", "quote_status"
        )
    return quote


def finalize(call: Call) -> Obj:
    """Makes a draft an open offer."""
    quote = in_status(call, "draft", "finalized")
    if call.given.get("expires_at") is not None:
        quote["expires_at"] = later(call, call.given["expires_at"], "expires_at")
    quote |= {"status": "open", "number": f"QT-{quote['id'][-6:].upper()}-0001-1"}
    quote["status_transitions"] = quote["status_transitions"] | {"finalized_at": call.now}
    call.world.plan(quote["expires_at"], "quote_answer", quote["id"], "canceled")
    return call.stored(quote, "quote.finalized")


def accept(call: Call) -> Obj:
    """Takes an open offer, which starts its subscription."""
    quote = in_status(call, "open", "accepted")
    customer = call.referred("customers", quote["customer"], "customer")
    one_currency(call, customer, quote["currency"])
    bought: list[tuple[Obj, int | None]] = [
        (call.state.full("prices", one["price"]["id"]), one["quantity"]) for one in quote["line_items"]["data"]
    ]
    changes: Obj = {"collection_method": quote["collection_method"]}
    if quote["collection_method"] == "send_invoice":
        changes["days_until_due"] = quote["invoice_settings"]["days_until_due"] or 30
    started = contracts.start(call.world, customer, Terms(bought, changes=changes))
    quote |= {"status": "accepted", "subscription": started["id"], "invoice": started["latest_invoice"]}
    quote["status_transitions"] = quote["status_transitions"] | {"accepted_at": call.now}
    return call.stored(quote, "quote.accepted")


def cancel(call: Call) -> Obj:
    """Withdraws an offer."""
    quote = in_status(call, "draft or open", "canceled")
    quote["status"] = "canceled"
    quote["status_transitions"] = quote["status_transitions"] | {"canceled_at": call.now}
    return call.stored(quote, "quote.canceled")


WRITES = (
    Write("POST", "/v1/quotes", "quotes", "quote", "QuoteCreateParams", create, SERVED),
    Write("POST", "/v1/quotes/{id}", "quotes", "quote", "QuoteUpdateParams", update, SERVED),
    Write("POST", "/v1/quotes/{id}/finalize", "quotes", "quote", "QuoteFinalizeQuoteParams", finalize, ("expires_at",)),
    Write("POST", "/v1/quotes/{id}/accept", "quotes", "quote", "QuoteAcceptParams", accept),
    Write("POST", "/v1/quotes/{id}/cancel", "quotes", "quote", "QuoteCancelParams", cancel),
)

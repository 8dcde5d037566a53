"""Customers, made, changed and deleted."""

from tidegate.sandbox import customers
from tidegate.sandbox.answers import Refusal
from tidegate.sandbox.objects import people
from tidegate.sandbox.payments import OWN
from tidegate.sandbox.resources import Obj, part
from tidegate.sandbox.world import Due
from tidegate.sandbox.writes.calls import Call, Write, deleted, metadata, needs_value, taken
from tidegate.sandbox.writes.payment_methods import attached, owned
from tidegate.sandbox.writes.test_clocks import room_for_customer

PLAIN = ("description", "email", "name", "phone", "shipping", "business_name", "individual_name")
SETTINGS = ("custom_fields", "footer")
SERVED = (
    *PLAIN,
    "address",
    "balance",
    "invoice_prefix",
    *(f"invoice_settings[{name}]" for name in (*SETTINGS, "default_payment_method")),
    "metadata",
    "next_invoice_sequence",
    "preferred_locales",
    "tax_exempt",
)


def create(call: Call) -> Obj:
    """A new customer, perhaps with a card."""
    clock = room_for_customer(call)
    customer = people.customer(call.world.ids.new("cus_"), call.now, None, None, _role=OWN, test_clock=clock)
    card = call.given.get("payment_method")
    customer |= changes(call, customer)
    default = part(call.given, "invoice_settings").get("default_payment_method")
    if default is not None and default != card:
        raise Refusal(
            400,
            f"The customer does not have a payment method with the ID {default}. Give it as payment_method, too.",
            "resource_missing",
            "invoice_settings[default_payment_method]",
        )
    if card is None:
        return call.stored(customer, "customer.created")
    held = attached(call, card, customer, "payment_method")
    if default is not None:
        customer["invoice_settings"] = customer["invoice_settings"] | {"default_payment_method": held["id"]}
    return call.stored(customer, "customer.created")


def update(call: Call) -> Obj:
    """Changes a customer."""
    customer = call.addressed("customers")
    given = part(call.given, "invoice_settings")
    changed = customer | changes(call, customer)
    if "default_payment_method" in given:
        name = given["default_payment_method"]
        if name is not None:
            name = owned(call, name, customer["id"], "invoice_settings[default_payment_method]")
        changed["invoice_settings"] = changed["invoice_settings"] | {"default_payment_method": name}
    return call.stored(changed, "customer.updated")


def changes(call: Call, customer: Obj) -> Obj:
    """What the parameters change, the default card left out. Raises Refusal (400)."""
    given = call.given
    needs_value(given, "balance", "next_invoice_sequence", "invoice_prefix")
    email = given.get("email")
    if email is not None and "@" not in email:
        raise Refusal(400, f"Invalid email address: {email}", "email_invalid", "email")
    changed = taken(given, *PLAIN, "balance", "next_invoice_sequence", "preferred_locales", "invoice_prefix")
    if "tax_exempt" in given:
        changed["tax_exempt"] = given["tax_exempt"] or "none"
    if "address" in given:
        address: Obj | None = given["address"]
        changed["address"] = None if address is None else people.NO_ADDRESS | address
    settings = part(given, "invoice_settings")
    if settings:
        changed["invoice_settings"] = customer["invoice_settings"] | taken(settings, *SETTINGS)
    if changed.get("shipping"):
        shipping: Obj = changed["shipping"]
        changed["shipping"] = {"phone": None} | shipping | {"address": people.NO_ADDRESS | shipping["address"]}
    return changed | metadata(customer["metadata"], given)


def delete(call: Call) -> Obj:
    """Deletes a customer: what it had stays, its subscriptions end at once."""
    customer = call.addressed("customers")
    customers.leave(call.world, Due(call.now, 0, "leave", customer["id"]))
    return deleted("customer", customer["id"])


WRITES = (
    Write(
        "POST",
        "/v1/customers",
        "customers",
        "customer",
        "CustomerCreateParams",
        create,
        (*SERVED, "payment_method", "test_clock"),
    ),
    Write("POST", "/v1/customers/{id}", "customers", "customer", "CustomerUpdateParams", update, SERVED),
    Write("DELETE", "/v1/customers/{id}", "customers", "leaf", "CustomerDeleteParams", delete),
)

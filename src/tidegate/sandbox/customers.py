"""Customers arrive, subscribe, change, come back and are deleted."""

import random

from tidegate.sandbox import contracts, names
from tidegate.sandbox.cast import ROLES, Role
from tidegate.sandbox.contracts import Terms
from tidegate.sandbox.endings import OVER
from tidegate.sandbox.objects import people
from tidegate.sandbox.offers import ordinary
from tidegate.sandbox.redemptions import discount, told
from tidegate.sandbox.resources import Obj
from tidegate.sandbox.schedules import ahead
from tidegate.sandbox.world import DAY, Due, World

CARDS = (("4242", "visa"), ("4444", "mastercard"), ("0005", "amex"))
ORDINARY = Role(0, ordinary)
SHARED_INBOX = ("Shared.Inbox@example.com", "shared.inbox@example.com")


def arrive(world: World, due: Due) -> None:
    """A new customer signs up; `due.about` is the role it plays, empty for an ordinary one."""
    role = ROLES[due.about] if due.about else ORDINARY
    customer = sign_up(world, due.about, role)
    if role.terms:
        subscription = contracts.start(world, customer, role.terms(world))
        for days, step in role.steps:
            world.plan(world.clock.now + int(days * DAY), "decide", subscription["id"], step)
        if not due.about:
            later = world.chance.randrange(3, 40) * DAY + world.chance.randrange(DAY)
            world.plan(world.clock.now + later, "decide", subscription["id"])
    for days, what, detail in role.later:
        world.plan(world.clock.now + int(days * DAY), what, customer["id"], detail)
    if due.detail is not None:
        following = str(int(world.who) + 1)
        world.plan(world.clock.now + due.detail, "arrive", "", due.detail, who=following)


def called(world: World, role: str) -> tuple[str | None, str | None]:
    """Name and e-mail address of a new customer; some lack one or share the other."""
    if role.startswith("colleague"):
        turn = world.who.partition(".")[2]
        team = {"colleague": "Finance", "colleague_sales": "Sales", "colleague_abroad": "Export"}[role]
        return names.colleague(random.Random(f"{world.config.seed}-company.{turn}"), team, turn)
    if role.startswith("free_mail"):
        return names.person(world.chance, names.plain(world.who), free_mail=True)
    name, email = names.invented(world.chance, names.plain(world.who).replace("-", "_"))
    odd = world.chance.random() if not role else 1.0
    if role == "no_email" or odd < 0.03:
        return name, None
    if role.startswith("duplicate") or odd < 0.06:
        return name, world.chance.choice(SHARED_INBOX)
    return None if role == "no_name" else name, email


def sign_up(world: World, role: str, terms: Role) -> Obj:
    """Puts a customer and its card in place."""
    now = world.clock.now
    name, email = called(world, role)
    where = world.chance.choice(names.COUNTRIES)
    customer = people.customer(
        world.ids.new("cus_"),
        now,
        name,
        email,
        address=people.address(*where) if world.likely(0.8) else None,
        metadata={"workspace_id": f"ws_{world.who}"} if world.likely(0.5) else {},
        description="Brought over from the old system" if world.likely(0.05) else None,
        _role=role,
    )
    world.state.put(customer, "customer.created")
    card = world.chance.choice(CARDS)[0] if terms.card == "good" else terms.card
    if card:
        replace_card(world, customer["id"], card)
    if role == "customer_discount":
        given = discount(world, "NONPROFIT", customer["id"])
        shown = {name: value for name, value in given.items() if not name.startswith("_")}
        world.state.put(world.state.full("customers", customer["id"]) | {"discount": shown}, "customer.updated")
        told(world, given)
    if terms.balance:
        move_balance(world, customer["id"], terms.balance)
    return world.state.full("customers", customer["id"])


def replace_card(world: World, identifier: str, last4: str | None) -> None:
    """Gives a customer another card and takes the old one away; none for None."""
    customer = world.state.full("customers", identifier)
    old, new = customer["invoice_settings"]["default_payment_method"], None
    if last4:
        brand = dict(CARDS).get(last4, "visa")
        card = people.payment_method(world.ids.new("pm_1", 23), world.clock.now, customer, last4, brand)
        world.state.put(card, "payment_method.attached")
        new = card["id"]
    customer["invoice_settings"] = customer["invoice_settings"] | {"default_payment_method": new}
    world.state.put(customer, "customer.updated")
    if old in world.state["payment_methods"]:
        detach(world, old)


def detach(world: World, identifier: str) -> None:
    """Takes a payment method from its customer, whom its event no longer names, for good; it stays readable by id."""
    world.state.put(world.state.full("payment_methods", identifier) | {"customer": None})
    world.state.retire("payment_methods", identifier, "payment_method.detached")


def rename(world: World, identifier: str) -> None:
    """A customer has another name."""
    customer = world.state.full("customers", identifier)
    world.state.put(customer | {"name": f"{customer['name']} & Søn"}, "customer.updated")


def new_email(world: World, identifier: str) -> None:
    """A customer has another address, at the same domain."""
    customer = world.state.full("customers", identifier)
    domain = (customer["email"] or "moved.example").rpartition("@")[2]
    world.state.put(customer | {"email": f"accounts@{domain}"}, "customer.updated")


def move_balance(world: World, identifier: str, amount: int) -> None:
    """Moves a customer's balance by minor units: down is credit, up is debt."""
    customer = world.state.full("customers", identifier)
    world.state.put(customer | {"balance": customer["balance"] + amount}, "customer.updated")


def second(world: World, due: Due) -> None:
    """A customer takes another subscription, in the currency that it has."""
    customer = world.state.full("customers", due.about)
    price = world.prices[f"support-{customer['currency'] or 'usd'}"]
    contracts.start(world, customer, Terms([(price, 1)]))


def come_back(world: World, due: Due) -> None:
    """A customer who had left subscribes again."""
    customer = world.state.full("customers", due.about)
    currency = customer["currency"] or "usd"
    plan = world.chance.choice(("starter", "pro"))
    subscription = contracts.start(world, customer, Terms([(world.prices[f"{plan}-month-{currency}"], 1)]))
    if not customer.get("_role"):
        world.plan(world.clock.now + 30 * DAY, "decide", subscription["id"])


def sign_ahead(world: World, due: Due) -> None:
    """A customer signs for a subscription that begins in so many days."""
    customer = world.state.full("customers", due.about)
    ahead(world, customer, world.prices["pro-month-usd"], 1, due.detail)


def leave(world: World, due: Due) -> None:
    """A customer is deleted; what it had stays, its subscriptions end."""
    for identifier in list(world.state["subscriptions"].find("customer", due.about)):
        subscription = world.state.full("subscriptions", identifier)
        if subscription["status"] not in OVER:
            contracts.end(world, subscription, "cancellation_requested")
    for identifier in list(world.state["payment_methods"].find("customer", due.about)):
        detach(world, identifier)
    world.state.delete("customers", due.about, "customer.deleted")

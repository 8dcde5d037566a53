"""A company of exact size for benchmarks: plain customers, subscriptions and invoices, rendered when asked for."""

from collections.abc import Callable
from functools import lru_cache

from tidegate.sandbox.ids import base62
from tidegate.sandbox.objects.catalog import price, product
from tidegate.sandbox.objects.invoices import from_subscription, invoice, line, of_item, pricing
from tidegate.sandbox.objects.people import account, customer
from tidegate.sandbox.objects.subscriptions import item, subscription
from tidegate.sandbox.resources import Obj
from tidegate.sandbox.state import encoded, split
from tidegate.sandbox.world import World

AMOUNT = 1900
NUMBER = "\x00"
"""Stands in a template where an object's own number goes; JSON writes it as six characters."""


def fill(world: World) -> None:
    """Fills the account with one product, one price and the configured numbers of objects."""
    config, start = world.config, world.clock.now
    goods = product("prod_bulk0000000001", start, "Bulk plan")
    cost = price("price_bulk000000000000000001", start, goods["id"], "usd", AMOUNT, ("month", 1))
    world.state.put(account(f"acct_1{base62(config.seed, 15)}", start))
    world.state.put(goods)
    world.state.put(cost)
    span = max(1, config.as_of - start - 86_400)
    someone = customer(f"cus_{NUMBER}", 0, f"Customer {NUMBER}", f"customer{NUMBER}@example.com")
    load(world, "customers", config.customers, span, _timed(someone, "created"))
    load(world, "subscriptions", config.subscriptions, span, _subscription(cost, start, config.as_of))
    load(world, "invoices", config.invoices, span, _invoice(cost, config.lines_per_invoice, start))


def load(world: World, resource: str, count: int, span: int, like: Obj) -> None:
    """Fills one collection with `count` objects made from a template, created evenly over `span` seconds."""
    if not count:
        return
    collection = world.state[resource]
    shown, _, _ = split(collection.resource, like, livemode=world.state.livemode)
    start, seed = world.clock.now + 1, world.config.seed
    per_customer = max(1, world.config.customers)
    per_subscription = max(1, world.config.subscriptions)

    def values(n: int) -> dict[bytes, bytes]:
        owner = n % per_subscription % per_customer if resource == "invoices" else n % per_customer
        return {
            b"n": number(seed, n),
            b"c": number(seed, owner),
            b"s": number(seed, n % per_subscription),
            b"t": b"%d" % (start + n * span // count),
        }

    def renderer(template: bytes) -> Callable[[int], bytes]:
        parts = split_template(template)

        def render(n: int) -> bytes:
            of_this = values(n)
            return b"".join([of_this[piece] if position % 2 else piece for position, piece in enumerate(parts)])

        return render

    prefix = collection.resource.prefix
    identifiers = [prefix + number(seed, n).decode() for n in range(count)]
    created = [start + n * span // count for n in range(count)]
    collection.fill(identifiers, created, renderer(shown), renderer(encoded(like, livemode=world.state.livemode)))


@lru_cache(maxsize=1 << 16)
def number(seed: int, n: int) -> bytes:
    """The part of an identifier that tells objects of one kind apart; twelve characters that differ between seeds."""
    return b"B%s%s" % (base62(seed, 3).encode(), base62(n, 8).encode())


def split_template(template: bytes) -> list[bytes]:
    """Literal pieces and, at odd positions, which value goes between them."""
    marks = {b'"\\u0000t"': b"t", b"\\u0000c": b"c", b"\\u0000s": b"s", b"\\u0000": b"n"}
    parts: list[bytes] = [template]
    for mark, name in marks.items():
        grown: list[bytes] = []
        for position, part in enumerate(parts):
            pieces = part.split(mark) if position % 2 == 0 else [part]
            for count, piece in enumerate(pieces):
                grown += [name, piece] if count else [piece]
        parts = grown
    return parts


def _timed(obj: Obj, *names: str) -> Obj:
    return obj | dict.fromkeys(names, f"{NUMBER}t")


def _owner() -> Obj:
    return customer(f"cus_{NUMBER}c", 0, f"Customer {NUMBER}c", f"customer{NUMBER}c@example.com")


def _subscription(cost: Obj, start: int, end: int) -> Obj:
    identifier = f"sub_{NUMBER}"
    part = item(f"si_{NUMBER}", 0, identifier, cost, 1, (start, end + 86_400))
    part = _timed(part, "created")
    obj = subscription(identifier, 0, _owner(), "usd", [part])
    return _timed(obj, "created", "start_date", "billing_cycle_anchor")


def _invoice(cost: Obj, lines: int, start: int) -> Obj:
    identifier, sub = f"in_{NUMBER}", f"sub_{NUMBER}s"
    parts = [
        line(
            f"il_{NUMBER}x{position}",
            identifier,
            "usd",
            AMOUNT,
            1,
            (start, start + 30 * 86_400),
            description="1 × Bulk plan (at $19.00 / month)",
            parent=of_item(sub, f"si_{NUMBER}s"),
            pricing=pricing(cost, str(AMOUNT)),
        )
        for position in range(lines)
    ]
    total = AMOUNT * lines
    obj = invoice(identifier, 0, _owner(), "usd", parts, billing_reason="subscription_cycle", number=f"BULK-{NUMBER}")
    obj["parent"] = from_subscription({"id": sub, "metadata": {}})
    for name in ("subtotal", "subtotal_excluding_tax", "total", "total_excluding_tax", "amount_due", "amount_paid"):
        obj[name] = total
    obj |= {"status": "paid", "attempted": True, "attempt_count": 1, "auto_advance": False, "ending_balance": 0}
    obj["status_transitions"] = _timed(obj["status_transitions"], "finalized_at", "paid_at")
    return _timed(obj, "created", "effective_at", "period_start", "period_end")

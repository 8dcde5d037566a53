"""Which price, customer and subscription a wish means; what is ambiguous is refused with the candidates. Pure."""

from collections.abc import Sequence

from tidegate.errors import SaleInvalid, SaleRefused
from tidegate.outbound.selling.facts import RUNNING, Customer, Facts, Item, Price, Subscription
from tidegate.outbound.selling.wish import Wish


def price(facts: Facts, wish: Wish, *, beside: Price | None = None, currency: str | None = None) -> Price:
    """The price that is meant. `beside`: one whose currency and interval it has where nothing else is said;
    `currency`: the one that the customer is held to. Raises SaleInvalid.
    """
    known = [one for one in facts.prices if one.active and one.interval]
    if wish.price:
        return _named(facts, wish.price)
    if not known:
        raise SaleInvalid(problem=_nothing_mapped(facts))
    wanted = [
        one
        for one in known
        if wish.interval in (None, one.interval) and (wish.currency or one.currency).lower() == one.currency
    ]
    if not wanted:
        said = " and ".join(one for one in (wish.interval and f"--interval {wish.interval}",
                                            wish.currency and f"--currency {wish.currency}") if one)  # fmt: skip
        raise SaleInvalid(problem=f"No price of {facts.package} has {said}. There are {_list(known)}.")
    wanted = _like(wanted, wish, beside) or wanted
    wanted = _in(wanted, wish, currency) or wanted
    if len(wanted) > 1:
        raise SaleInvalid(
            problem=f"{facts.package} has several prices: say which with --price, or --interval and --currency. "
            f"There are {_list(wanted)}."
        )
    return wanted[0]


def _named(facts: Facts, wanted: str) -> Price:
    found = next((one for one in facts.prices if one.id == wanted), None)
    known = [one for one in facts.prices if one.active and one.interval]
    if found is None:
        there = f"There are {_list(known)}." if known else _nothing_mapped(facts)
        raise SaleInvalid(problem=f"The price {wanted} is not mapped to {facts.package}. {there}")
    if not found.active:
        raise SaleInvalid(problem=f"The price {wanted} is archived in Stripe: nobody can buy it any more.")
    if not found.interval:
        raise SaleInvalid(problem=f"The price {wanted} is a one-time price: no subscription can have it.")
    return found


def _like(known: Sequence[Price], wish: Wish, beside: Price | None) -> list[Price]:
    if beside is None:
        return []
    currency = [one for one in known if wish.currency or one.currency == beside.currency]
    terms = (beside.interval, beside.interval_count)
    return [one for one in currency if wish.interval or (one.interval, one.interval_count) == terms] or currency


def _in(known: Sequence[Price], wish: Wish, currency: str | None) -> list[Price]:
    return [one for one in known if currency and not wish.currency and one.currency == currency]


def customer(facts: Facts, wish: Wish) -> Customer | None:
    """The contact's customer that is meant; None: it has none. Raises SaleInvalid."""
    if wish.customer:
        found = next((one for one in facts.customers if one.id == wish.customer), None)
        if found is None:
            there = ", ".join(one.id for one in facts.customers) or "none"
            raise SaleInvalid(
                problem=f"{wish.customer} is no customer of {facts.contact}; it has {there}. `tidegate contacts link` "
                "makes one its."
            )
        return found
    if len(facts.customers) > 1:
        there = ", ".join(f"{one.id} ({one.name or one.email or 'no name'})" for one in facts.customers)
        raise SaleInvalid(problem=f"{facts.contact} has several customers: say which with --customer. {there}.")
    return facts.customers[0] if facts.customers else None


def mine(facts: Facts, wish: Wish) -> list[Subscription]:
    """The subscriptions that may be meant. Raises SaleInvalid for one that is named and not among them."""
    found = [one for one in facts.subscriptions if wish.customer in (None, one.customer)]
    if wish.customer:
        customer(facts, wish)
    if wish.subscription:
        named = [one for one in found if one.id == wish.subscription]
        if not named:
            there = ", ".join(one.id for one in found) or "none"
            raise SaleInvalid(
                problem=f"{wish.subscription} is no running subscription of {facts.contact}; it has {there}."
            )
        return named
    return found


def having(facts: Facts, wish: Wish, package: str | None = None) -> tuple[Subscription, Item] | None:
    """The subscription and its item that give the package (None: any base package); None: there is none.

    Raises SaleInvalid where there are several.
    """
    found = [
        (subscription, item)
        for subscription in mine(facts, wish)
        for item in subscription.items
        if (item.kind == "base" if package is None else item.package == package)
    ]
    if len(found) > 1:
        there = ", ".join(f"{one.id} ({item.package}, {item.price.says})" for one, item in found)
        what = package or "a base package"
        if len({one.id for one, _ in found}) == 1:
            raise SaleRefused(
                problem=f"Several items of one subscription give {what}: {there}. Change it in Stripe; Tidegate cannot "
                "tell which is meant."
            )
        raise SaleInvalid(problem=f"Several subscriptions give {what}: say which with --subscription. {there}.")
    return found[0] if found else None


def host(facts: Facts, wish: Wish) -> Subscription | None:
    """The running subscription that an add-on is added to; None: there is none. Raises SaleInvalid."""
    found = [one for one in mine(facts, wish) if one.status in RUNNING]
    found = [one for one in found if one.base()] or found
    if len(found) > 1:
        there = ", ".join(f"{one.id} ({', '.join(item.package or item.price.id for item in one.items)})"
                          for one in found)  # fmt: skip
        raise SaleInvalid(
            problem=f"{facts.package} may be added to several subscriptions: say --subscription. {there}."
        )
    return found[0] if found else None


def _nothing_mapped(facts: Facts) -> str:
    return (
        f"No recurring price on sale is mapped to {facts.package}. Map one with `tidegate mappings set`, or make it "
        f"with `tidegate packages create-in-stripe {facts.package}`."
    )


def _list(known: Sequence[Price]) -> str:
    return ", ".join(one.says for one in sorted(known, key=lambda one: (one.currency, one.unit_amount or 0, one.id)))

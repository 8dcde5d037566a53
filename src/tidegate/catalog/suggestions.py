"""Proposes features, packages and mappings from what an account sells and how it is subscribed to (pure).

Companies set Stripe up in two ways, and in both at once: a product (or each of its prices) is a package; or an item of
a subscription is a feature, beside the item of the plan. What a product is shows in how it is subscribed to.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from tidegate.catalog.keys import slug
from tidegate.catalog.proposals import Known, Left, PriceSeen, ProductSeen, Suggestion

RARELY = 0.1
"""Share of its subscriptions up to which something is an exception."""
OFTEN = 0.3
"""Share of its subscriptions with a quantity above 1 from which on a product is sold by the unit."""


def suggest(products: Iterable[ProductSeen], known: Known) -> tuple[list[Suggestion], list[Left]]:
    """What the products are taken for, the most subscribed first, and what is left to a person.

    What is mapped is passed over.
    """
    found: dict[str, Suggestion] = {}
    left: list[Left] = []
    for product in products:
        for one in _judged(product):
            if isinstance(one, Left):
                left.append(one)
            else:
                found[one.name] = _joined(found[one.name], one) if one.name in found else one
    ordered = sorted(found.values(), key=lambda one: -one.subscriptions)
    return _settled(ordered, known), left


def plan_name(name: str) -> str:
    """A plan's name without interval and currency: `Pro (yearly, EUR)` and `pro-month-usd` → `pro`."""
    words = re.split(r"[^\w&+]+|_", name.lower())
    kept = [word for word in words if word and word not in _BESIDE]
    return slug("-".join(kept)) or slug(name)


_INTERVALS = (
    "month",
    "monthly",
    "year",
    "yearly",
    "annual",
    "annually",
    "quarter",
    "quarterly",
    "week",
    "weekly",
    "mo",
)
_CURRENCIES = ("usd", "eur", "gbp", "jpy", "chf", "cad", "aud", "nzd", "sek", "nok", "dkk", "inr", "brl", "mxn", "sgd")
_BESIDE = frozenset({*_INTERVALS, *_CURRENCIES, "yr", "per", "billed", "plan", "subscription", "price", "package"})
_UNIT = re.compile(r"\b(seats?|users?|members?|licen[cs]es?|editors?|agents?|people|employees?|workspaces?|devices?)\b")
_BY_NAME = re.compile(r"\badd[- ]?ons?\b|\bextra\b|\badditional\b", re.I)


def _judged(product: ProductSeen) -> list[Suggestion | Left]:
    open_ = [one for one in product.recurring if not one.mapped]
    if product.mapped or not open_ or (not product.active and not product.subscriptions):
        return []
    if not product.active and product.subscriptions <= 1 and not any(one.active for one in product.prices):
        return [Left(product.id, product.name, "made for one customer, it seems", product.subscriptions)]
    if not slug(product.name):
        return [Left(product.id, product.name, "its name makes no key", product.subscriptions)]
    if all(one.metered for one in open_):
        return [_metered(product)]
    unit = _UNIT.search(product.name.lower())
    if unit and not _leads(product):
        return [_units(product, _plural(unit[1]), "its name is that of a unit, and it is sold by quantity")]
    if _rides(product):
        return [_beside(product)]
    plans = _plans(product, open_)
    return list(plans) if plans else [_package(product)]


def _leads(product: ProductSeen) -> bool:
    """Whether it is a plan although named by a unit: most of its subscriptions have nothing else."""
    return product.subscriptions > 0 and product.alone / product.subscriptions > 1 - RARELY and not product.many


def _rides(product: ProductSeen) -> bool:
    """Whether it comes beside something else: it hardly ever leads a subscription, or its name says so."""
    if _BY_NAME.search(product.name) and product.alone * 2 <= product.subscriptions:
        return True
    return product.subscriptions > 0 and product.leads / product.subscriptions <= RARELY


def _metered(product: ProductSeen) -> Suggestion:
    key = slug(product.name)
    terms = {"unlimited": True, "reset": "billing_period", "per_quantity": False}
    feature = {"key": key, "type": "metered", "name": product.name, "unit": product.unit_label}
    why = "it is billed by use, so it is counted and has no limit"
    return _feature(product, key, feature | {"reset": "billing_period"}, terms, why)


def _units(product: ProductSeen, key: str, why: str) -> Suggestion:
    feature = {"key": key, "type": "metered", "name": key.replace("-", " ").capitalize(), "unit": _singular(key)}
    terms = {"limit": 1, "reset": "never", "per_quantity": True}
    return _feature(product, key, feature | {"reset": "never"}, terms, why)


def _beside(product: ProductSeen) -> Suggestion:
    """An item that comes beside a plan: units of something, what Stripe says it gives, or simply itself."""
    beside = product.subscriptions - product.alone
    why = f"in {beside:,} of {product.subscriptions:,} subscriptions it comes beside another item"
    if not product.subscriptions:
        why = "its name says that it comes beside a plan"
    if product.given:
        features, terms = _given(product)
        key = slug(product.name)
        package: dict[str, Any] = {"key": key, "name": product.name, "kind": "add_on", "features": terms}
        mapping = {"product": product.id, "package": key, "per_quantity": True}
        return _counted(
            Suggestion("package", key, f"{why}; Stripe names its features", (mapping,), features, package),
            product,
        )
    if product.many or product.unit_label:
        key = _plural(slug(product.unit_label)) if product.unit_label else slug(product.name)
        return _units(product, key, f"{why}, by quantity")
    feature = {"key": slug(product.name), "type": "boolean", "name": product.name}
    return _feature(product, feature["key"], feature, {"per_quantity": False}, why)


def _package(product: ProductSeen) -> Suggestion:
    """The product is a package, whatever its prices: all intervals, currencies, and those off sale."""
    key = plan_name(product.name)
    features, terms = _given(product)
    prices = len(product.recurring)
    alone = f"{product.leads:,} of {product.subscriptions:,} subscriptions are of it" if product.subscriptions else ""
    why = f"{alone or 'it is on sale, though nobody has it yet'}; {prices:,} {'price' if prices == 1 else 'prices'}"
    by_unit = product.many / (product.subscriptions or 1) >= OFTEN or bool(product.unit_label and product.many)
    if by_unit:
        unit = _plural(slug(product.unit_label) or "seat")
        features = (*(one for one in features if one["key"] != unit), _unit_feature(unit))
        terms[unit] = {"limit": 1, "reset": "never"}
        why += f"; sold by quantity, so each gives one of {unit}"
    package = {"key": key, "name": _title(product.name, key), "features": terms}
    mapping = {
        "product": product.id,
        "package": key,
        "per_quantity": by_unit or bool(product.unit_label and product.many),
    }
    return _counted(Suggestion("package", key, why, (mapping,), features, package), product)


def _plans(product: ProductSeen, prices: Sequence[PriceSeen]) -> list[Suggestion | Left]:
    """One product, whose prices are different plans: on sale side by side for the same interval and currency, under
    different names. Empty when they are not.
    """
    named: dict[str, list[PriceSeen]] = {}
    for one in prices:
        if name := plan_name(one.nickname or one.lookup_key) if one.nickname or one.lookup_key else "":
            named.setdefault(name, []).append(one)
    on_sale = {name: {_slot(one) for one in some if one.active} for name, some in named.items()}
    slots = [slot for some in on_sale.values() for slot in some]
    if len([name for name, some in on_sale.items() if some]) < 2 or len(set(slots)) == len(slots):
        return []
    found: list[Suggestion | Left] = []
    for name, some in named.items():
        package: dict[str, Any] = {"key": name, "name": name.replace("-", " ").capitalize(), "features": {}}
        why = f"{product.name} has plans side by side, told apart by the names of prices; this one has {len(some):,}"
        rows = tuple({"price": one.id, "package": name, "per_quantity": False} for one in some)
        covered = {what: sum(getattr(one, what) for one in some) for what in _COUNTS}
        found.append(Suggestion("package", name, why, rows, (), package, **covered))
    rest = [one for one in prices if one.subscriptions and not (one.nickname or one.lookup_key)]
    why = f"{product.name} has plans side by side, and this price has no name"
    return found + [Left(one.id, product.name, why, one.subscriptions, "price") for one in rest]


def _slot(price: PriceSeen) -> tuple[str, str, int]:
    return price.currency, price.interval, price.interval_count


_COUNTS = ("subscriptions", "customers", "contacts")


def _given(product: ProductSeen) -> tuple[tuple[dict[str, Any], ...], dict[str, Any]]:
    """Stripe's own features of a product: as features, and as terms."""
    named = [(slug(key), name) for key, name in product.given if slug(key)]
    features = tuple({"key": key, "type": "boolean", "name": name} for key, name in named)
    return features, {key: True for key, _ in named}


def _feature(product: ProductSeen, key: str, feature: dict[str, Any], terms: dict[str, Any], why: str) -> Suggestion:
    said = {name: value for name, value in feature.items() if value}
    mapping = {"product": product.id, "feature": key, **terms}
    return _counted(Suggestion("feature", key, why, (mapping,), (said,)), product)


def _unit_feature(key: str) -> dict[str, Any]:
    name, unit = key.replace("-", " ").capitalize(), _singular(key)
    return {"key": key, "type": "metered", "name": name, "unit": unit, "reset": "never"}


def _counted(one: Suggestion, product: ProductSeen) -> Suggestion:
    return replace(one, **{what: getattr(product, what) for what in _COUNTS})


def _joined(one: Suggestion, other: Suggestion) -> Suggestion:
    """Two products of one key: `Pro monthly` and `Pro yearly` are one package."""
    package = one.package
    if package is not None and other.package is not None:
        package = package | {"features": other.package["features"] | package["features"]}
    seen = {feature["key"] for feature in one.features}
    return replace(
        one,
        why=f"{one.why}; and {other.why}",
        mappings=(*one.mappings, *other.mappings),
        features=(*one.features, *(feature for feature in other.features if feature["key"] not in seen)),
        package=package,
        **{what: getattr(one, what) + getattr(other, what) for what in _COUNTS},
    )


def _settled(found: Sequence[Suggestion], known: Known) -> list[Suggestion]:
    """The suggestions made to fit each other and the catalog: one type for each feature, and nothing made twice."""
    made = [feature for one in found for feature in one.features]
    counted = {feature["key"] for feature in made if feature["type"] == "metered"}
    types = {feature["key"]: "metered" if feature["key"] in counted else feature["type"] for feature in made}
    types |= known.features
    return [_fitted(one, types, known) for one in found]


def _fitted(one: Suggestion, types: Mapping[str, str], known: Known) -> Suggestion:
    features = tuple(
        feature if feature["type"] == types[feature["key"]] else _unit_feature(feature["key"])
        for feature in one.features
        if feature["key"] not in known.features
    )
    mappings = tuple(_fitted_mapping(mapping, types) for mapping in one.mappings)
    package, why = one.package, one.why
    if package is not None and package["key"] in known.packages:
        return replace(one, why=f"{why}; the package exists", features=(), mappings=mappings, package=None)
    if package is not None:
        terms = {key: _terms(types.get(key, "boolean"), said) for key, said in package["features"].items()}
        package = package | {"features": terms}
    return replace(one, features=features, mappings=mappings, package=package)


def _fitted_mapping(mapping: dict[str, Any], types: Mapping[str, str]) -> dict[str, Any]:
    """A mapping to a feature whose type is another already: only what can be said of it."""
    type_ = types.get(mapping.get("feature", ""))
    if type_ == "boolean":
        return {name: value for name, value in mapping.items() if name not in ("limit", "unlimited", "reset")}
    if type_ == "metered" and "limit" not in mapping and "unlimited" not in mapping:
        return mapping | {"unlimited": True}
    return mapping


def _terms(type_: str, said: Any) -> Any:
    """Terms that fit a feature's type: Stripe says that something has seats, and not how many."""
    if type_ == "metered" and said is True:
        return {"unlimited": True}
    return True if type_ == "boolean" else said


def _title(name: str, key: str) -> str:
    """A package's name: the product's, unless that says more than the package is."""
    return name if slug(name) == key else key.replace("-", " ").capitalize()


def _plural(word: str) -> str:
    return word if not word or word.endswith("s") or word == "people" or len(word) <= 2 else f"{word}s"


def _singular(word: str) -> str:
    return word[:-1] if word.endswith("s") else word

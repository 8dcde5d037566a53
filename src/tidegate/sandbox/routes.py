"""From a path to the object or list it names: the read side of Stripe's API."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import unquote

import msgspec

from tidegate.sandbox import accounts, expansion
from tidegate.sandbox.answers import Answer, Refusal, Request, as_json, missing, unknown_parameter
from tidegate.sandbox.collection import SEQUENCE_BITS
from tidegate.sandbox.listing import ListRequest, envelope, page_of, page_of_children, read
from tidegate.sandbox.old_versions import in_version
from tidegate.sandbox.resources import BY_NAME, RESOURCES, Obj, Resource
from tidegate.sandbox.state import API_VERSION, EVENT_DAYS, State

MOST_TYPES = 20
Handler = Callable[[State, Request, list[str]], Answer]


@dataclass(frozen=True)
class Route:
    """An endpoint: its template for limits and counts, the resource whose permission it needs, what answers."""

    template: str
    permission: str
    handler: Handler


def find(path: str) -> tuple[Route, list[str]] | None:
    """The route of a path and the identifiers in it; None for a path the sandbox does not serve."""
    parts = [unquote(part) for part in path.strip("/").split("/")]
    if parts[0] != "v1":
        return None
    for pattern, route in ROUTES.get(len(parts), []):
        if all(wanted in ("*", part) for wanted, part in zip(pattern, parts, strict=True)):
            return route, [part for wanted, part in zip(pattern, parts, strict=True) if wanted == "*"]
    return None


def list_of(resource: Resource, *, within: str | None = None) -> Handler:
    """Answers a list of a resource; `within` is the filter that the identifier in the path stands for."""
    filters = {name for name, _ in resource.filters if not name.startswith("_")} - ({within} if within else set[str]())
    ranges = {name for name, _ in resource.ranges} | ({"created"} if resource.created else set[str]())

    def handler(state: State, request: Request, names: list[str]) -> Answer:
        asked = read(request.query, filters, ranges)
        if within:
            asked.filters[within] = names[:1]
        if resource.name == "events":
            check_types(asked)
            low, high = asked.ranges.get("created", (0, 1 << 38))
            asked.ranges["created"] = (max(low, state.clock.now - EVENT_DAYS * 86_400), high)
        tree = expansion.parse(asked.expand, f"list:{resource.object}").get("data", {})
        check_customer(state, asked)
        collection = state[resource.name]
        page, more = page_of(collection, asked)
        if tree:
            bodies = expansion.rendered_page(state, collection, page, tree)
        else:
            bodies = [told(state, resource, collection.body(identifier)) for identifier in page]
        return Answer(200, envelope(bodies, more, request.path))

    return handler


def retrieve(resource: Resource) -> Handler:
    """Answers one object, or its deleted form."""

    def handler(state: State, request: Request, names: list[str]) -> Answer:
        tree = expansion.parse(only_expand(request.query), resource.object)
        identifier, collection = names[-1], state[resource.name]
        if identifier in collection and not expired(state, resource, identifier):
            return Answer(200, told(state, resource, expansion.rendered(state, collection, identifier, tree)))
        if identifier in state.former and identifier in state.deleted[resource.name]:
            return as_json(
                expansion.expanded(state, msgspec.json.decode(state.former[identifier]), resource.object, tree)
            )
        if resource.name == "customers" and identifier in state.deleted["customers"]:
            return as_json({"id": identifier, "object": "customer", "deleted": True})
        raise missing(resource.object, identifier)

    return handler


def told(state: State, resource: Resource, body: bytes) -> bytes:
    """An event in the API version that this account lists events in; any other object as it is."""
    if resource.name != "events" or state.events_version == API_VERSION:
        return body
    return msgspec.json.encode(in_version(msgspec.json.decode(body), state.events_version, state))


def check_types(asked: ListRequest) -> None:
    """Passes for `type` or up to 20 `types`, as the SDK says of the list of events. Raises Refusal (400)."""
    types = asked.filters.get("types", [])
    if types and "type" in asked.filters:
        raise Refusal(400, "You may only specify one of these parameters: type, types.", param="types")
    if len(types) > MOST_TYPES:
        raise Refusal(400, f"You may pass at most {MOST_TYPES} types, got {len(types)}.", param="types")


def check_customer(state: State, asked: ListRequest) -> None:
    """Passes when the customer that a list is filtered by exists or existed. Raises Refusal (400) else."""
    for customer in asked.filters.get("customer", []):
        if customer not in state["customers"] and customer not in state.deleted["customers"]:
            raise missing("customer", customer, param="customer", status=400)


def other_mode(state: State, route: Route, request: Request, names: list[str]) -> Answer:
    """What a key of the other mode gets: the account, empty lists, and 404 for what only this mode has.

    Raises Refusal, also for what a key of this mode would be refused.
    """
    answer = route.handler(state, request, names)
    if route.permission in ("accounts", "balance"):
        return answer
    if not names:
        return Answer(200, envelope([], False, request.path))
    found = msgspec.json.decode(answer.body)["object"]
    kind = BY_NAME[route.permission].object if found == "list" else found
    here, used = ("live", "test") if state.livemode else ("test", "live")
    refusal = missing(kind, names[0])
    refusal.message += f"; a similar object exists in {here} mode, but a {used} mode key was used to make this request."
    raise refusal


def endless(state: State, route: Route, request: Request, names: list[str]) -> Answer:
    """A list that says it goes on, always: behind its last page its first comes again."""
    answer = route.handler(state, request, names)
    page = msgspec.json.decode(answer.body)
    if page["object"] != "list":
        return answer
    if not page["data"]:
        again = [pair for pair in request.query if pair[0] != "starting_after"]
        page = msgspec.json.decode(route.handler(state, replace(request, query=again), names).body)
    return as_json(page | {"has_more": True})


def expired(state: State, resource: Resource, identifier: str) -> bool:
    """Whether an event is older than Stripe keeps it."""
    created = state[resource.name].key_of[identifier] >> SEQUENCE_BITS
    return resource.name == "events" and created < state.clock.now - EVENT_DAYS * 86_400


def only_expand(query: list[tuple[str, str]]) -> list[str]:
    """The paths to expand. Raises Refusal (400) for any other parameter."""
    asked = read(query, set(), set())
    for name, value in query:
        if not name.startswith("expand"):
            raise unknown_parameter(name)
        del value
    return asked.expand


def nested_list(resource: Resource, kind: str) -> Handler:
    """Answers the list inside an object, whole, in pages."""

    def handler(state: State, request: Request, names: list[str]) -> Answer:
        collection = state[resource.name]
        if names[0] not in collection:
            raise missing(resource.object, names[0])
        asked = read(request.query, set(), set())
        return children_page(state, collection.children(names[0]), asked, kind, request.path)

    return handler


def children_page(state: State, children: list[bytes], asked: ListRequest, kind: str, url: str) -> Answer:
    """A page of a nested list with what it asks to expand."""
    tree = expansion.parse(asked.expand, f"list:{kind}").get("data", {})
    page, more = page_of_children(children, asked, kind)
    if tree:
        page = [msgspec.json.encode(expansion.expanded(state, msgspec.json.decode(one), kind, tree)) for one in page]
    return Answer(200, envelope(page, more, url))


def subscription_items(state: State, request: Request, names: list[str]) -> Answer:
    """Answers /v1/subscription_items?subscription=, which needs its parameter."""
    asked = read(request.query, {"subscription"}, set())
    wanted = asked.filters.get("subscription")
    if not wanted:
        raise Refusal(400, "Missing required param: subscription.", "parameter_missing", "subscription")
    if wanted[0] not in state["subscriptions"]:
        raise missing("subscription", wanted[0], param="subscription", status=400)
    children = state["subscriptions"].children(wanted[0])
    return children_page(state, children, asked, "subscription_item", request.path)


def one_child(resource: Resource, kind: str, lens: str) -> Handler:
    """Answers an element of a nested list by its own id, for example /v1/subscription_items/si_…"""

    def handler(state: State, request: Request, names: list[str]) -> Answer:
        tree = expansion.parse(only_expand(request.query), kind)
        for parent in state[resource.name].find(lens, names[-1]):
            for child in map(msgspec.json.decode, state[resource.name].children(parent)):
                if child["id"] == names[-1]:
                    return as_json(expansion.expanded(state, child, kind, tree))
        raise missing(kind, names[-1])

    return handler


def first_account(state: State, request: Request, names: list[str]) -> Answer:
    """Answers the account that the key belongs to."""
    return retrieve(BY_NAME["accounts"])(state, request, [state["accounts"].ids[0]])


def balance(state: State, request: Request, names: list[str]) -> Answer:
    """Answers the account's balance: what succeeded charges and refunds leave, per currency."""
    only_expand(request.query)
    totals: dict[str, int] = {}
    for identifier in state["charges"].ids:
        charge = state["charges"].shown(identifier)
        totals[charge["currency"]] = (
            totals.get(charge["currency"], 0) + charge["amount_captured"] - charge["amount_refunded"]
        )
    available: list[Obj] = [
        {"amount": amount, "currency": currency, "source_types": {"card": amount}}
        for currency, amount in sorted(totals.items())
    ]
    nothing: list[Any] = [{"amount": 0, "currency": one["currency"], "source_types": {"card": 0}} for one in available]
    return as_json({"object": "balance", "available": available, "livemode": state.livemode, "pending": nothing})


def customer_part(resource: str, path: str) -> Route:
    """The list of a customer's own objects, for example its payment methods."""
    row = BY_NAME[resource]
    inner = list_of(row, within="customer")

    def handler(state: State, request: Request, names: list[str]) -> Answer:
        if names[0] not in state["customers"]:
            raise missing("customer", names[0])
        return inner(state, request, names)

    return Route(f"/v1/customers/{{id}}/{path}", resource, handler)


def product_part(state: State, request: Request, names: list[str]) -> Answer:
    """Answers the features of a product."""
    if names[0] not in state["products"]:
        raise missing("product", names[0])
    return list_of(BY_NAME["product_features"], within="product")(state, request, names)


def _table() -> dict[int, list[tuple[list[str], Route]]]:
    routes: list[Route] = []
    for resource in RESOURCES:
        if resource.path:
            routes.append(Route(f"/v1/{resource.path}", resource.name, list_of(resource)))
            routes.append(Route(f"/v1/{resource.path}/{{id}}", resource.name, retrieve(resource)))
    subscriptions, invoices, quotes, notes = (
        BY_NAME[name] for name in ("subscriptions", "invoices", "quotes", "credit_notes")
    )
    routes += [
        Route("/v1/subscription_items", "subscriptions", subscription_items),
        Route("/v1/subscription_items/{id}", "subscriptions", one_child(subscriptions, "subscription_item", "_item")),
        Route("/v1/invoices/{id}/lines", "invoices", nested_list(invoices, "line_item")),
        Route("/v1/credit_notes/{id}/lines", "credit_notes", nested_list(notes, "credit_note_line_item")),
        Route("/v1/quotes/{id}/line_items", "quotes", nested_list(quotes, "item")),
        Route("/v1/products/{id}/features", "product_features", product_part),
        Route("/v1/products/{id}/features/{id}", "product_features", retrieve(BY_NAME["product_features"])),
        customer_part("payment_methods", "payment_methods"),
        customer_part("subscriptions", "subscriptions"),
        Route("/v1/charges/{id}/refunds", "refunds", list_of(BY_NAME["refunds"], within="charge")),
        Route("/v1/account", "accounts", first_account),
        Route("/v1/accounts", "accounts", accounts.list_connected),
        Route("/v1/accounts/{id}", "accounts", accounts.retrieve),
        Route("/v1/balance", "balance", balance),
    ]
    table: dict[int, list[tuple[list[str], Route]]] = {}
    for route in routes:
        pattern = route.template.replace("{id}", "*").strip("/").split("/")
        table.setdefault(len(pattern), []).append((pattern, route))
    for known in table.values():
        known.sort(key=lambda entry: entry[0].count("*"))
    return table


ROUTES = _table()

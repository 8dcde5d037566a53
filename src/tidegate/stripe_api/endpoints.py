"""Paths of the API: of one object, and the name of an endpoint (ids taken out), by which Stripe counts its limits."""

from urllib.parse import quote

# First path segments that only group resources, so that the next one is the collection.
# fmt: off
NAMESPACES = frozenset({
    "apps", "billing", "billing_portal", "checkout", "climate", "crypto", "entitlements", "financial_connections",
    "forwarding", "identity", "issuing", "radar", "reporting", "sigma", "tax", "terminal", "test_helpers", "treasury",
})
# fmt: on
# Words that stand where an id would.
ACTIONS = frozenset({"search", "upcoming", "create_preview"})


def object_path(collection: str, object_id: str) -> str:
    """The path of one object; ids that people chose (coupons, products, plans) may hold anything.

    `object_path("/v1/coupons", "50% off")` is `"/v1/coupons/50%25%20off"`.
    """
    return f"{collection}/{quote(object_id, safe='')}"


def list_path(template: str, parent_id: str) -> str:
    """The path of a list that belongs to an object, whose id takes the place of `{id}` or `{parent}`.

    `list_path("/v1/products/{parent}/features", "a/b")` is `"/v1/products/a%2Fb/features"`.
    """
    quoted = quote(parent_id, safe="")
    return template.format(id=quoted, parent=quoted)


def endpoint_of(method: str, path: str) -> str:
    """The endpoint that a request counts against, as Stripe's rate limits name it (docs.stripe.com/rate-limits).

    `endpoint_of("get", "/v1/invoices/in_1/lines?limit=5")` is `"GET /v1/invoices/:id/lines"`.
    """
    version, *segments = path.partition("?")[0].strip("/").split("/")
    grouping = 1 if len(segments) > 1 and segments[0] in NAMESPACES else 0
    named = [_named(place - grouping, segment) for place, segment in enumerate(segments)]
    return f"{method.upper()} /{'/'.join([version, *named])}"


def _named(place: int, segment: str) -> str:
    return ":id" if place > 0 and place % 2 == 1 and segment not in ACTIONS else segment

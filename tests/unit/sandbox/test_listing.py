from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidegate.sandbox.collection import Collection
from tidegate.sandbox.listing import ListRequest, page_of, page_of_children
from tidegate.sandbox.resources import BY_NAME

LISTS = [
    "customers",
    "products",
    "prices",
    "coupons",
    "promotion_codes",
    "tax_rates",
    "subscriptions",
    "subscription_schedules",
    "invoices",
    "invoiceitems",
    "invoice_payments",
    "quotes",
    "charges",
    "payment_intents",
    "payment_methods",
    "refunds",
    "credit_notes",
    "disputes",
    "entitlements/features",
    "billing/meters",
    "events",
    "test_helpers/test_clocks",
]
WITHOUT_CREATED = {"quotes", "payment_methods", "entitlements/features", "billing/meters", "test_helpers/test_clocks"}
ON_CLOCKS = ("customers", "subscriptions", "quotes")


def ids(page: dict[str, Any]) -> list[str]:
    return [one["id"] for one in page["data"]]


@pytest.mark.parametrize("name", LISTS)
def test_a_list_shows_every_object_once_and_the_newest_first(api: Any, name: str) -> None:
    query = "&status=all" if name == "subscriptions" else ""
    found = api.every(f"/v1/{name}", query)
    counts = api.get("/__truth")["counts"]
    assert len({one["id"] for one in found}) == len(found) > 0
    apart: list[Any] = []
    if name in ON_CLOCKS:
        apart = [one for clock in api.clocks() for one in api.every(f"/v1/{name}", f"{query}&test_clock={clock}")]
    elif name == "prices":
        inline = [one for one in api.get("/__truth?ids=prices")["ids"]["prices"] if is_inline(api, one)]
        apart = [*inline, *api.every("/v1/prices", "&active=false")]
    if name != "events":
        assert len(found) + len(apart) == counts[name.replace("/", "_")]
    created = [one["created"] for one in found if "created" in one]
    assert created == sorted(created, reverse=True)


def is_inline(api: Any, price: str) -> bool:
    return bool(api.get(f"/__objects/{price}").get("_inline"))


def test_prices_are_listed_active_and_never_inline(api: Any) -> None:
    everything = set(api.get("/__truth?ids=prices")["ids"]["prices"])
    inline = {one for one in everything if is_inline(api, one)}
    active, archived = api.every("/v1/prices"), api.every("/v1/prices", "&active=false")
    assert ids({"data": active}) == ids({"data": api.every("/v1/prices", "&active=true")})
    assert ({one["active"] for one in active}, {one["active"] for one in archived}) == ({True}, {False})
    assert inline
    assert everything - inline == set(ids({"data": [*active, *archived]}))
    assert api.get(f"/v1/prices/{inline.pop()}")["object"] == "price"
    assert {one["active"] for one in api.every("/v1/products")} == {True, False}


@pytest.mark.parametrize("name", LISTS)
def test_the_envelope_and_the_created_filter(api: Any, name: str) -> None:
    page = api.get(f"/v1/{name}?limit=1")
    assert (page["object"], page["url"]) == ("list", f"/v1/{name}")
    refused = api.ask(f"/v1/{name}?created[gte]=1")
    assert refused.status == (400 if name in WITHOUT_CREATED else 200)
    if name in WITHOUT_CREATED:
        assert refused.json["error"]["code"] == "parameter_unknown"


def test_cursors_go_both_ways(api: Any) -> None:
    everyone = ids({"data": api.every("/v1/customers")})
    page = api.get(f"/v1/customers?limit=3&starting_after={everyone[9]}")
    assert (ids(page), page["has_more"]) == (everyone[10:13], True)
    page = api.get(f"/v1/customers?limit=3&ending_before={everyone[9]}")
    assert (ids(page), page["has_more"]) == (everyone[6:9], True)
    page = api.get(f"/v1/customers?limit=3&ending_before={everyone[2]}")
    assert (ids(page), page["has_more"]) == (everyone[:2], False)
    page = api.get(f"/v1/customers?limit=5&starting_after={everyone[-3]}")
    assert (ids(page), page["has_more"]) == (everyone[-2:], False)
    assert len(api.get("/v1/customers")["data"]) == 10


def test_created_bounds_are_as_their_names_say(api: Any) -> None:
    charges = api.every("/v1/charges")
    at = charges[20]["created"]
    keeping = {
        "[gt]": lambda c: c > at,
        "[gte]": lambda c: c >= at,
        "[lt]": lambda c: c < at,
        "[lte]": lambda c: c <= at,
        "": lambda c: c == at,
    }
    for comparison, keeps in keeping.items():
        found = api.every("/v1/charges", f"&created{comparison}={at}")
        assert ids({"data": found}) == [one["id"] for one in charges if keeps(one["created"])]


@pytest.mark.parametrize(
    ("target", "status", "code", "param"),
    [
        ("/v1/customers?limit=0", 400, "parameter_invalid_integer", "limit"),
        ("/v1/customers?limit=101", 400, "parameter_invalid_integer", "limit"),
        ("/v1/customers?limit=ten", 400, "parameter_invalid_integer", "limit"),
        ("/v1/customers?foo=1", 400, "parameter_unknown", "foo"),
        ("/v1/customers?created[near]=1", 400, "parameter_unknown", "created[near]"),
        ("/v1/customers?starting_after=cus_x", 400, "resource_missing", "starting_after"),
        ("/v1/customers?ending_before=cus_x", 400, "resource_missing", "ending_before"),
        ("/v1/customers?expand[]=data.nothing", 400, None, "expand"),
        ("/v1/customers?expand[]=discount", 400, None, "expand"),
        ("/v1/subscriptions?expand[]=data.items.data.price.tiers", 400, None, "expand"),
        ("/v1/subscriptions?status=gone", 400, None, "status"),
        ("/v1/subscriptions?_item=si_1", 400, "parameter_unknown", "_item"),
        ("/v1/subscription_items", 400, "parameter_missing", "subscription"),
        ("/v1/customers/cus_x", 404, "resource_missing", "id"),
        ("/v1/customers/cus_x?limit=1", 400, "parameter_unknown", "limit"),
        ("/v1/invoices/in_x/lines", 404, "resource_missing", "id"),
        ("/v1/nothing", 404, None, None),
    ],
)
def test_refusals(api: Any, target: str, status: int, code: str | None, param: str | None) -> None:
    refused = api.ask(target)
    error = refused.json["error"]
    assert (refused.status, error.get("code"), error.get("param")) == (status, code, param)
    assert error["type"] == "invalid_request_error"


def test_filters(api: Any) -> None:
    subscriptions = api.every("/v1/subscriptions", "&status=all")
    for status in (
        "active",
        "canceled",
        "past_due",
        "trialing",
        "unpaid",
        "paused",
        "incomplete",
        "incomplete_expired",
    ):
        found = api.every("/v1/subscriptions", f"&status={status}")
        assert ids({"data": found}) == [one["id"] for one in subscriptions if one["status"] == status]
        assert found, f"the company shows no subscription that is {status}"
    ended = {"canceled", "incomplete_expired"}
    assert {one["status"] for one in api.every("/v1/subscriptions", "&status=ended")} == ended
    invoice = api.every("/v1/invoices")[0]
    subscription = invoice["parent"]["subscription_details"]["subscription"]
    found = api.every(
        "/v1/invoices", f"&subscription={subscription}&customer={invoice['customer']}&status={invoice['status']}"
    )
    assert invoice["id"] in ids({"data": found})
    assert {one["parent"]["subscription_details"]["subscription"] for one in found} == {subscription}
    keys = "&lookup_keys[]=team-month-usd&lookup_keys[1]=pro-year-eur"
    assert {one["lookup_key"] for one in api.every("/v1/prices", keys)} == {"team-month-usd", "pro-year-eur"}
    kinds = "&types[]=customer.created&types[]=invoice.paid"
    assert {one["type"] for one in api.every("/v1/events", kinds)} == {"customer.created", "invoice.paid"}


def test_events_are_those_of_the_last_thirty_days(make_api: Any) -> None:
    api = make_api(customers=40)
    first = api.every("/v1/events")[-1]
    now = api.get("/__clock")["now"]
    assert first["created"] >= now - 30 * 86_400
    api.ask("/__clock", method="POST", json={"to": first["created"] + 30 * 86_400 + 1})
    assert api.ask(f"/v1/events/{first['id']}").status == 404
    assert first["id"] not in ids({"data": api.every("/v1/events")})


def test_a_nested_list_has_its_own_order_and_cursor() -> None:
    children = [b'{"id":"il_%d"}' % n for n in range(23)]
    first, more = page_of_children(children, ListRequest(limit=10), "line_item")
    assert (first, more) == (children[:10], True)
    last, more = page_of_children(children, ListRequest(limit=100, starting_after="il_9"), "line_item")
    assert (last, more) == (children[10:], False)
    before, more = page_of_children(children, ListRequest(limit=4, ending_before="il_2"), "line_item")
    assert (before, more) == (children[:2], False)


@given(
    created=st.lists(st.integers(1, 6), min_size=1, max_size=40),
    removed=st.sets(st.integers(0, 39)),
    limit=st.integers(1, 9),
    low=st.integers(0, 6),
    high=st.integers(0, 7),
)
def test_paging_agrees_with_a_plain_list(
    created: list[int], removed: set[int], limit: int, low: int, high: int
) -> None:
    collection = Collection(BY_NAME["coupons"])
    for number, at in enumerate(created):
        collection.put({"id": f"c{number}"}, at, b"{}", {}, None)
    for number in removed & set(range(len(created))):
        collection.remove(f"c{number}")
    kept = [(at, number) for number, at in enumerate(created) if number not in removed and low <= at <= high]
    expected = [f"c{number}" for _, number in sorted(kept, reverse=True)]
    seen: list[str] = []
    more = True
    while more:
        page, more = page_of(
            collection, ListRequest(limit, seen[-1] if seen else None, ranges={"created": (low, high)})
        )
        assert len(page) <= limit
        seen += page
    assert seen == expected
    for position, identifier in enumerate(expected):
        page, _ = page_of(collection, ListRequest(limit, ending_before=identifier, ranges={"created": (low, high)}))
        assert page == expected[max(0, position - limit) : position]


def test_objects_of_a_template_are_expanded_beside_others_as_each_would_be_alone(make_api: Any) -> None:
    """Of a page's invoices that come of one template the first is looked at for all; one has a discount put on."""
    api = make_api(profile="bulk", customers=3, subscriptions=3, invoices=5)
    state = api.server.world.state
    plain = state["invoices"].ids[2]
    discount = {"id": "di_1", "object": "discount", "customer": None, "promotion_code": None, "source": {"coupon": "c"}}
    state.put(discount | {"start": 1})
    state.put(state["invoices"].full(plain) | {"discounts": ["di_1"]})
    page = api.every("/v1/invoices", "&expand[]=data.discounts&expand[]=data.customer")
    alone = [api.get(f"/v1/invoices/{one['id']}?expand[]=discounts&expand[]=customer") for one in page]
    assert page == alone
    assert [len(one["discounts"]) for one in page] == [0, 0, 1, 0, 0]
    assert all(one["customer"]["object"] == "customer" for one in page)

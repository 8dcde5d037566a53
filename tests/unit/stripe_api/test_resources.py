"""The registry is consistent in itself and with what the official SDK says Stripe has."""

import importlib
import re

import pytest
from stripe._object_classes import OBJECT_CLASSES
from stripe.params._webhook_endpoint_create_params import WebhookEndpointCreateParams

from tidegate.errors import ResourceNotListed, ResourceUnknown
from tidegate.stripe_api.resources import RESOURCES, by_object, listed, resource, resource_of_key, to_import
from tidegate.stripe_api.resources.resource import Resource

EVERY = pytest.mark.parametrize("row", RESOURCES.values(), ids=lambda row: row.name)
LISTED = pytest.mark.parametrize(
    "row", [r for r in RESOURCES.values() if r.path and not r.singleton], ids=lambda row: row.name
)

# PostgreSQL's reserved words that a Stripe field could suggest; columns that the mirror adds to every table and batch.
RESERVED = {"end", "order", "default", "user", "group", "limit", "offset", "from", "to", "references"}
ENVELOPE = {"connection", "id", "created", "updated_at", "certainty", "deleted_at", "position", "data"}
STAGED = {"batch", "at", "deleted", "event", "previous"}

PARAMS_OF = {
    "test_helpers/test_clocks": "test_helpers._test_clock_list_params.TestClockListParams",
    "entitlements/features": "entitlements._feature_list_params.FeatureListParams",
    "billing/meters": "billing._meter_list_params.MeterListParams",
    "invoiceitems": "_invoice_item_list_params.InvoiceItemListParams",
    "tax_rates": "_tax_rate_list_params.TaxRateListParams",
    "product_features": "_product_list_features_params.ProductListFeaturesParams",
}


def create_params(object_: str) -> set[str]:
    """The parameters with which the SDK makes an object of that name; none when it has no such call."""
    prefix, _, singular = object_.replace("invoiceitem", "invoice_item").rpartition(".")
    module = ".".join(filter(None, ["stripe.params", prefix, f"_{singular}_create_params"]))
    camel = "".join(word.title() for word in singular.split("_"))
    try:
        return set(getattr(importlib.import_module(module), f"{camel}CreateParams").__annotations__)
    except ModuleNotFoundError:
        return set()


def list_params(row: Resource) -> set[str]:
    """The parameters that the SDK knows for a resource's list."""
    singular = row.object.split(".")[-1]
    camel = "".join(word.title() for word in singular.split("_"))
    module, name = PARAMS_OF.get(row.name, f"_{singular}_list_params.{camel}ListParams").rsplit(".", 1)
    return set(getattr(importlib.import_module(f"stripe.params.{module}"), name).__annotations__)


def event_types() -> set[str]:
    """The events that the SDK knows, from its (unresolved) annotation."""
    return set(re.findall(r"'([a-z_0-9.]+)'", str(WebhookEndpointCreateParams.__annotations__["enabled_events"])))


def test_names_and_objects_are_unique() -> None:
    assert list(RESOURCES) == [row.name for row in RESOURCES.values()]
    assert len(by_object) == len(RESOURCES)
    assert len({row.table for row in RESOURCES.values()}) == len(RESOURCES)


@EVERY
def test_stripe_has_the_object(row: Resource) -> None:
    assert row.object in OBJECT_CLASSES


@EVERY
def test_columns_are_attributes_of_the_shape(row: Resource) -> None:
    empty = row.shape()
    for column in row.columns:
        assert getattr(empty, column.name) == ([] if column.type == "text[]" else None), column


@EVERY
def test_columns_can_be_columns(row: Resource) -> None:
    names = [column.name for column in row.columns]
    assert len(set(names)) == len(names)
    assert not set(names) & (RESERVED | ENVELOPE | STAGED)
    assert all(name.isidentifier() and name == name.lower() for name in names)


@EVERY
def test_references_point_to_what_stands_before(row: Resource) -> None:
    order = list(RESOURCES)
    for column in row.columns:
        if column.refers_to:
            assert order.index(column.refers_to) < order.index(row.name), column
            assert RESOURCES[column.refers_to].retrievable, column
            assert column.type in ("text", "text[]")


@EVERY
def test_columns_that_name_another_resource_refer_to_it(row: Resource) -> None:
    followed = {
        "customer": "customers",
        "price": "prices",
        "product": "products",
        "coupon": "coupons",
        "coupons": "coupons",
        "subscription": "subscriptions",
        "invoice": "invoices",
    }
    for column in row.columns:
        if column.name in followed and column.name != row.parent:
            assert column.refers_to == followed[column.name], column


@EVERY
def test_children_have_their_parent(row: Resource) -> None:
    order = list(RESOURCES)
    for nested in row.nested:
        child = RESOURCES[nested.resource]
        assert child.parent in [column.name for column in child.columns]
        assert child.path is None
        assert order.index(row.name) < order.index(child.name)
        assert nested.field in row.shape.__struct_fields__
        assert "{id}" in nested.path + "".join(nested.params.values())
    owners = [r for r in RESOURCES.values() if row.name in [nested.resource for nested in r.nested]]
    assert len(owners) == (1 if row.parent else 0)


@EVERY
def test_listing_per_parent_is_complete(row: Resource) -> None:
    assert bool(row.per_parent) == bool(row.parent_field)
    if row.per_parent:
        assert "{parent}" in (row.path or "")
        assert row.parent_field in [column.name for column in row.columns]
        assert row.parent_field in row.shape.__struct_fields__
        assert list(RESOURCES).index(row.per_parent) < list(RESOURCES).index(row.name)


@EVERY
def test_expansion_stays_within_four_levels(row: Resource) -> None:
    """docs.stripe.com/expand: at most four levels; a list's `data` is one."""
    for path in row.expand:
        assert len(f"data.{path}".split(".")) <= 4
    for nested in row.nested:
        for name, path in nested.params.items():
            if name.startswith("expand"):
                assert len(path.split(".")) <= 4
                assert f"{nested.field}.{path}" in row.expand


@LISTED
def test_list_parameters_are_stripes(row: Resource) -> None:
    known = list_params(row)
    assert ("created" in known) == row.created_filter
    assert all(set(variant) <= known for variant in row.variants)
    assert "expand" in known


@EVERY
def test_deletions_are_events_of_stripe(row: Resource) -> None:
    assert row.deleted_by <= event_types()


def test_every_deletion_event_of_a_mirrored_object_is_taken() -> None:
    """The cancellation of a subscription is called customer.subscription.deleted and is no deletion; that a payment
    method is detached is one, for it can never be used again.
    """
    taken = set().union(*(row.deleted_by for row in RESOURCES.values()))
    nouns = {"customer.discount", *(row.object for row in RESOURCES.values())} - {"discount"}
    told = {event for event in event_types() if event.endswith(".deleted") and event.removesuffix(".deleted") in nouns}
    assert taken == told | {"payment_method.detached"}
    assert "customer.subscription.deleted" not in taken


def test_a_resource_by_name() -> None:
    assert resource("invoices").object == "invoice"


@pytest.mark.parametrize(
    ("name", "list_"),
    [("invoices", "invoices"), ("invoice_lines", "invoices"), ("subscription_items", "subscriptions"),
     ("quote_lines", "quotes"), ("credit_note_lines", "credit_notes"), ("discounts", "discounts")],
)  # fmt: skip
def test_what_comes_inside_another_is_listed_with_that(name: str, list_: str) -> None:
    assert listed(name).name == list_


@pytest.mark.parametrize(
    ("name", "ask_for"),
    [("invoice_lines", "Ask for invoices."), ("subscription_items", "Ask for subscriptions."),
     ("discounts", "Ask for customers, subscriptions or invoices.")],
)  # fmt: skip
def test_what_has_no_list_of_its_own_is_not_imported_alone(name: str, ask_for: str) -> None:
    with pytest.raises(ResourceNotListed, match=f"{name} cannot be imported by themselves: ") as raised:
        to_import(["customers", name], livemode=False)
    assert ask_for in str(raised.value)


def test_every_resource_without_a_list_names_what_to_ask_for() -> None:
    for one in RESOURCES.values():
        if one.path is None:
            with pytest.raises(ResourceNotListed, match="Ask for "):
                to_import([one.name], livemode=False)
        assert set(one.stands_in) <= RESOURCES.keys()


def test_test_clocks_are_not_asked_of_a_live_account() -> None:
    with pytest.raises(ResourceNotListed, match="test mode only"):
        to_import(["test_helpers/test_clocks"], livemode=True)


@pytest.mark.parametrize(
    ("key", "name"),
    [("disputes", "disputes"), ("prices/price_1", "prices"), ("coupons/50/off", "coupons"),
     ("entitlements/features", "entitlements/features"), ("entitlements/features/feat_1", "entitlements/features")],
)  # fmt: skip
def test_the_resource_of_a_problem_s_key(key: str, name: str) -> None:
    assert resource_of_key(key) == name


@pytest.mark.parametrize(
    ("name", "hint"), [("invoice", "Did you mean invoices?"), ("costumers", "Did you mean customers?"), ("zzz", "")]
)
def test_an_unknown_resource_names_the_nearest(name: str, hint: str) -> None:
    with pytest.raises(ResourceUnknown) as raised:
        resource(name)
    assert hint in str(raised.value)
    assert ("Did you mean" in str(raised.value)) == bool(hint)
    assert "Known: accounts, billing/meters, charges, " in str(raised.value)


def test_an_id_can_be_used_again_where_its_maker_chooses_it() -> None:
    """A plan is a price of the same id; of all other objects Stripe makes the id, new each time."""
    chosen = {row.name for row in RESOURCES.values() if "id" in create_params(row.object)}
    chosen |= {"prices"} if "id" in create_params("plan") else set()
    assert {row.name for row in RESOURCES.values() if row.reusable_id} == chosen == {"products", "prices", "coupons"}


def test_what_keeps_an_object_are_fields_of_the_sdk() -> None:
    kept = [row for row in RESOURCES.values() if row.kept_by]
    assert [row.name for row in kept] == ["payment_methods"]
    for row in kept:
        assert row.retrievable
        module, name = OBJECT_CLASSES[row.object]
        assert set(row.kept_by) <= set(getattr(importlib.import_module(module), name).__annotations__)

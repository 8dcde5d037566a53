"""Products, made, changed and deleted."""

from tidegate.sandbox.answers import Refusal
from tidegate.sandbox.objects import catalog
from tidegate.sandbox.params import empty
from tidegate.sandbox.resources import Obj
from tidegate.sandbox.writes.calls import Call, Write, currency_of, deleted, metadata, needs_value, taken
from tidegate.sandbox.writes.prices import every, new_price

PLAIN = (
    "active",
    "description",
    "images",
    "marketing_features",
    "name",
    "package_dimensions",
    "shippable",
    "statement_descriptor",
    "tax_code",
    "unit_label",
    "url",
)
PRICE_DATA = tuple(
    f"default_price_data[{name}]"
    for name in ("currency", "unit_amount", "unit_amount_decimal", "recurring", "tax_behavior", "metadata")
)


def create(call: Call) -> Obj:
    """A new product, under an id of one's own if given, perhaps with its default price."""
    given, identifier = call.given, call.given.get("id") or call.world.ids.new("prod_")
    if given["name"].strip() == "":
        raise empty("name")
    if identifier in call.state["products"]:
        raise Refusal(400, "Product already exists.", "resource_already_exists", "id")
    data: Obj | None = given.get("default_price_data")
    changes = taken(given, *PLAIN, "type") | metadata({}, given)
    made = catalog.product(identifier, call.now, changes.pop("name"), **changes)
    if data is None:
        return call.stored(made, "product.created")
    currency = currency_of(data, "default_price_data[currency]")
    price = new_price(call, data, identifier, currency, every(data.get("recurring")), "default_price_data")
    call.state.put(made, "product.created")
    call.state.put(price, "price.created")
    return call.stored(made | {"default_price": price["id"]}, "product.updated")


def update(call: Call) -> Obj:
    """Changes a product."""
    product, given = call.addressed("products"), call.given
    needs_value(given, "name", "active")
    changes = taken(given, *PLAIN) | metadata(product["metadata"], given)
    if given.get("default_price") is not None:
        price = call.referred("prices", given["default_price"], "default_price")
        if price["product"] != product["id"]:
            raise Refusal(
                400, f"The price {price['id']} does not belong to product {product['id']}.", param="default_price"
            )
    changes |= taken(given, "default_price")
    return call.stored(product | changes | {"updated": call.now}, "product.updated")


def delete(call: Call) -> Obj:
    """Deletes a product that has no prices."""
    product = call.addressed("products")
    if next(call.state["prices"].find("product", product["id"]), None):
        raise Refusal(400, "This product cannot be deleted because it has one or more user-created prices.")
    call.state.delete("products", product["id"], "product.deleted")
    return deleted("product", product["id"])


WRITES = (
    Write(
        "POST",
        "/v1/products",
        "products",
        "product",
        "ProductCreateParams",
        create,
        (*PLAIN, *PRICE_DATA, "id", "metadata", "type"),
    ),
    Write(
        "POST",
        "/v1/products/{id}",
        "products",
        "product",
        "ProductUpdateParams",
        update,
        (*PLAIN, "metadata", "default_price"),
    ),
    Write("DELETE", "/v1/products/{id}", "products", "leaf", "ProductDeleteParams", delete),
)
